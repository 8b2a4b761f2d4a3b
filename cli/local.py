"""The commands ``local`` and ``verify``: an environment that runs on this machine.

Each first builds dist/ if its sources have changed.
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
from cli.errors import ExitCode, Problem, Unable, UsageError
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
    """Options of both commands."""

    environment: str
    overrides: Mapping[str, str]
    _: KW_ONLY
    keeps: bool
    begun_at: float


CheckOverrides = Callable[[str, Mapping[str, str]], None]
"""Raises Failure unless an environment can be launched with some other values."""


def commands(
    project: Path, build: Callable[[], None], check: CheckOverrides
) -> list[click.Command]:
    """Return both commands of a project; ``build`` brings dist/ up to date."""

    @click.command(
        cls=Command,
        meanings={ExitCode.FAILED: "failed: the environment did not start"},
        interrupted=INTERRUPTED,
    )
    @ENVIRONMENT
    @SET
    @KEEP
    def local(
        environment: str, *, assignments: tuple[str, ...], keep: bool
    ) -> ExitCode:
        r"""Run an environment on this machine: the real Airflow, without AWS.

        Launches the templates in an emulator of its own, starts a real PostgreSQL and
        a real Valkey, and every component from its own task definition. Prints the URL
        of the Airflow UI and how to log in, then the state of every task, until Ctrl-C;
        then everything is stopped and deleted. Several environments can run at the
        same time, each on its own ports.

        The password is printed at a terminal; a pipe gets a command that prints it.

        Requirements are installed automatically: 400 MB, once.

        \b
        Examples
          ./build.py local dev
          ./build.py local prod --keep
          ./build.py local dev --set EnableFlower=true
        """
        options = _options(environment, assignments, keep=keep)
        _check_system()

        def run() -> ExitCode:
            build()
            check(environment, options.overrides)
            return _local(project, options)

        return _interruptible(run)

    @click.command(
        cls=Command,
        meanings={
            ExitCode.FAILED: "failed: the environment did not start, or a check failed",
            ExitCode.INTERRUPTED: "interrupted (Ctrl-C) before all checks had run",
        },
        interrupted=INTERRUPTED,
    )
    @ENVIRONMENT
    @click.option(
        "--local", "is_local", is_flag=True, help="Run the environment on this machine."
    )
    @click.option("--no-faults", is_flag=True, help="Skip the fault-injection checks.")
    @click.option(
        "--no-scaling", is_flag=True, help="Skip the checks of worker scaling."
    )
    @SET
    @KEEP
    def verify(
        environment: str,
        *,
        is_local: bool,
        no_faults: bool,
        no_scaling: bool,
        assignments: tuple[str, ...],
        keep: bool,
    ) -> ExitCode:
        r"""Check that an environment works; on this machine, with --local.

        Starts the environment as the command local does, then runs DAGs, logs in,
        checks that forbidden actions are denied, and injects faults under load. Prints
        a table of the checks with what each one observed, the time and the memory used,
        and the differences from AWS. Then everything is stopped and deleted.

        Without --local it would check an environment on AWS: that is not implemented.

        \b
        Examples
          ./build.py verify dev --local
          ./build.py verify prod --local --no-faults --no-scaling
          ./build.py verify dev --local --keep   keeps the logs in .local/environments
        """
        if not is_local:
            raise UsageError(
                Problem(
                    where=f"verify {environment}",
                    what="Checks of an environment on AWS are not implemented yet: run "
                    "them with --local.",
                )
            )
        options = _options(environment, assignments, keep=keep)
        _check_system()

        def run() -> ExitCode:
            build()
            check(environment, options.overrides)
            return _verify(
                project, options, has_faults=not no_faults, has_scaling=not no_scaling
            )

        return _interruptible(run)

    both: list[click.Command] = [local, verify]
    for command in both:
        command.context_settings = {"help_option_names": ["-h", "--help"]}
    return both


def _options(
    environment: str, assignments: tuple[str, ...], *, keep: bool
) -> LocalOptions:
    """Return the options; refuse an assignment that is not NAME=VALUE."""
    return LocalOptions(
        environment,
        assigned("--set", assignments),
        keeps=keep,
        begun_at=time.monotonic(),
    )


def _check_system() -> None:
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


def _interruptible(run: Callable[[], ExitCode]) -> ExitCode:
    """Run with SIGINT, SIGTERM and SIGHUP as KeyboardInterrupt, even if ignored."""
    from local import interrupts

    interrupts.raise_on_all()
    return run()


def _local(project: Path, options: LocalOptions) -> ExitCode:
    from acceptance import report
    from local import progress
    from local.environment import LocalEnvironment
    from local.waiting import for_ever

    # One console: lines are printed above its live table.
    shown = console.stdout()
    running = LocalEnvironment(
        project,
        options.environment,
        overrides=options.overrides,
        keeps=options.keeps,
        begun_at=options.begun_at,
        tell=partial(shown.print, markup=False, soft_wrap=True),
    )
    with progress.ProgressTable(running, shown).showing(), running:
        report.print_login(running, shown)
        try:
            for_ever()
        except KeyboardInterrupt:
            shown.print("\nStopping ...")
    shown.print("Stopped.")
    return ExitCode.OK


def _verify(
    project: Path, options: LocalOptions, *, has_faults: bool, has_scaling: bool
) -> ExitCode:
    from acceptance import check, report, suites
    from deploy.dist import Dist
    from local.environment import LocalEnvironment

    shown = console.stdout()
    tell = partial(shown.print, markup=False, soft_wrap=True)
    environment = Dist.read(project / "dist").environment(options.environment)
    selected = suites.select(
        environment, has_faults=has_faults, has_scaling=has_scaling
    )
    running = LocalEnvironment(
        project,
        options.environment,
        overrides={**selected.overrides, **options.overrides},
        extra_environment=selected.extra_environment,
        dags=selected.dags,
        keeps=options.keeps,
        begun_at=options.begun_at,
        tell=tell,
    )
    with running:
        results, ends = selected.run(running, tell, options.begun_at)
        report.print_report(running, results, ends, shown)
    return ExitCode(check.exit_code(results))
