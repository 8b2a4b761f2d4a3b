"""The command ``local``: an environment that runs on this machine.

It first builds dist/ if its sources have changed.
"""

# ruff: noqa: PLC0415 - the help of a command loads neither boto3 nor the checks

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli import console
from cli.command import Command, assigned
from cli.errors import ExitCode, Problem, Unable
from local.system import unsupported_system

if TYPE_CHECKING:
    from local.packages import TeamPackages

INTERRUPTED = "Interrupted. All processes of the environment are stopped."

KEEP = click.option(
    "--keep",
    is_flag=True,
    help="Keep the folder in .local/environments, with the logs.",
)
ENVIRONMENT = click.argument("environment", metavar="ENV")
SET = click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="NAME=VALUE",
    help="A parameter that differs from parameters/ENV.json; repeatable.",
)


@dataclass(frozen=True)
class LocalOptions:
    """Options of the commands that start an environment on this machine."""

    environment: str
    overrides: Mapping[str, str]
    _: KW_ONLY
    keeps: bool
    begun_at: float


DAGS = click.option(
    "--dags",
    metavar="FOLDER",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of DAG files, instead of dags/.",
)

REQUIREMENTS = click.option(
    "--requirements",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File of Python packages, instead of image/requirements.txt.",
)

CheckOverrides = Callable[[str, Mapping[str, str]], None]
"""Raises Failure unless an environment can be launched with some other values."""


def command(
    project: Path, build: Callable[[str], None], check: CheckOverrides
) -> click.Command:
    """Return the command of a project; ``build`` brings dist/ up to date."""

    @click.command(
        cls=Command,
        meanings={ExitCode.FAILED: "failed: the environment did not start"},
        interrupted=INTERRUPTED,
    )
    @ENVIRONMENT
    @SET
    @DAGS
    @REQUIREMENTS
    @click.option(
        "--keep-data",
        is_flag=True,
        help="Take the database of the last run with this option, and keep it: runs, "
        "connections, variables and users.",
    )
    @KEEP
    def local(
        environment: str,
        *,
        assignments: tuple[str, ...],
        dags: Path | None,
        requirements: Path | None,
        keep_data: bool,
        keep: bool,
    ) -> ExitCode:
        r"""Run an environment on this machine: the real Airflow, without AWS.

        Launches the templates in an emulator of its own, starts a real PostgreSQL and
        a real Valkey, and every component from its own task definition. Prints the URL
        of the Airflow UI and how to log in, then the state of every task, until Ctrl-C;
        then everything is stopped and deleted. Several environments can run at the
        same time, each on its own ports.

        The password is printed at a terminal; a pipe gets a command that prints it.

        DAG files in dags/, or in the folder of --dags, are copied to its DAG bucket:
        at the start, and whenever one changes. A change is seen within ten seconds.

        The packages of image/requirements.txt are installed with the constraints of
        Airflow, and what DAG files import of the image apache/airflow; the plugins of
        image/plugins are loaded. Packages that conflict end the command at once.

        \b
        Examples
          ./build.py local dev
          ./build.py local dev --dags ../our-dags --requirements requirements.txt
          ./build.py local dev --keep-data
          ./build.py local prod --keep
          ./build.py local dev --set EnableFlower=true
        """
        local_options = options(environment, assignments, keep=keep)
        check_system()

        def run() -> ExitCode:
            folder = (dags or project / "dags").absolute()
            build(environment)
            check(environment, local_options.overrides)
            packages = team_packages(project, requirements, folder)
            return _local(
                project, local_options, folder, packages, keeps_data=keep_data
            )

        return interruptible(run)

    local.context_settings = {"help_option_names": ["-h", "--help"]}
    return local


def options(
    environment: str, assignments: tuple[str, ...], *, keep: bool
) -> LocalOptions:
    """Return the options; refuse an assignment that is not NAME=VALUE."""
    return LocalOptions(
        environment,
        assigned("--set", assignments),
        keeps=keep,
        begun_at=time.monotonic(),
    )


def check_system() -> None:
    """Raise Unable where no environment can run, before anything is installed."""
    if reason := unsupported_system():
        raise Unable(
            Problem(
                where="this machine",
                what=reason,
                remedy="Use a Linux machine, or build.py launch ENV --emulator, which "
                "creates the stacks without Airflow.",
            )
        )


def interruptible(run: Callable[[], ExitCode]) -> ExitCode:
    """Run with SIGINT, SIGTERM and SIGHUP as KeyboardInterrupt, even if ignored."""
    from local import interrupts

    interrupts.raise_on_all()
    return run()


def team_packages(project: Path, requirements: Path | None, dags: Path) -> TeamPackages:
    """Return the packages of the team, installed. Raises Failure if they conflict."""
    from local.packages import TeamPackages
    from team_image.folder import ImageFolder

    packages = TeamPackages.of(ImageFolder.of(project, requirements), dags)
    if packages.image.dockerfile or packages.image.debian_packages():
        console.note(
            "image/Dockerfile and image/packages.txt have no effect on this machine: "
            "install what they add."
        )
    packages.install(project, console.message)
    return packages


def _local(
    project: Path,
    options: LocalOptions,
    dags: Path,
    packages: TeamPackages,
    *,
    keeps_data: bool,
) -> ExitCode:
    from acceptance import report
    from local import dag_folder, progress
    from local.environment import LocalEnvironment
    from local.waiting import for_ever

    folder = dag_folder.DagFolder(dags)
    # One console: lines are printed above its live table.
    shown = console.stdout()
    tell = partial(shown.print, markup=False, soft_wrap=True)
    running = LocalEnvironment(
        project,
        options.environment,
        overrides=options.overrides,
        dags=[folder.folder],
        packages=packages,
        keeps=options.keeps,
        keeps_data=keeps_data,
        reloads=True,
        begun_at=options.begun_at,
        tell=tell,
    )
    with progress.ProgressTable(running, shown).showing(), running:
        report.print_login(running, shown, folder.folder)
        s3, bucket = running.client("s3"), running.outputs["DagBucketName"]

        def copy() -> None:
            for lacked in packages.lacking(folder.copy_changes(s3, bucket, tell)):
                tell(console.with_arguments(lacked.advice()))

        try:
            for_ever(copy, dag_folder.SECONDS)
        except KeyboardInterrupt:
            shown.print("\nStopping ...")
    shown.print("Stopped.")
    return ExitCode.OK
