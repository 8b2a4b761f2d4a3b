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

import click

from cli import console
from cli.command import Command, assigned
from cli.errors import ExitCode, Problem, Unable
from local.system import unsupported_system

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
    @KEEP
    def local(
        environment: str,
        *,
        assignments: tuple[str, ...],
        dags: Path | None,
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
        at the start, and whenever one changes. A DAG is shown within a minute.

        Requirements are installed automatically: 400 MB, once.

        \b
        Examples
          ./build.py local dev
          ./build.py local dev --dags ../our-dags
          ./build.py local prod --keep
          ./build.py local dev --set EnableFlower=true
        """
        local_options = options(environment, assignments, keep=keep)
        check_system()

        def run() -> ExitCode:
            build(environment)
            check(environment, local_options.overrides)
            return _local(project, local_options, dags)

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


def _local(project: Path, options: LocalOptions, dags: Path | None) -> ExitCode:
    from acceptance import report
    from local import dag_folder, progress
    from local.environment import LocalEnvironment
    from local.waiting import for_ever

    folder = dag_folder.DagFolder((dags or project / dag_folder.DEFAULT).absolute())
    # One console: lines are printed above its live table.
    shown = console.stdout()
    tell = partial(shown.print, markup=False, soft_wrap=True)
    running = LocalEnvironment(
        project,
        options.environment,
        overrides=options.overrides,
        dags=[folder.folder],
        keeps=options.keeps,
        begun_at=options.begun_at,
        tell=tell,
    )
    with progress.ProgressTable(running, shown).showing(), running:
        report.print_login(running, shown, folder.folder)
        copy = partial(
            folder.copy_changes,
            running.client("s3"),
            running.outputs["DagBucketName"],
            tell,
        )
        try:
            for_ever(copy, dag_folder.SECONDS)
        except KeyboardInterrupt:
            shown.print("\nStopping ...")
    shown.print("Stopped.")
    return ExitCode.OK
