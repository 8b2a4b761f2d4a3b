"""The commands ``local`` and ``rehearse``, to be added to the command line.

Each begins by building what is not built: what runs is what the sources say now.
"""

# ruff: noqa: PLC0415 - the help of a command loads neither boto3 nor the proofs

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.deployment import DeliveryCommand
from cli.errors import ExitCode, Problem, Unable
from local.system import unsupported_system

if TYPE_CHECKING:
    from rich.console import Console


CODES = f"""\b
Exit codes
  {ExitCode.OK:<4} done
  {ExitCode.FAILED:<4} failed: it did not come up, or something was not proven
  {ExitCode.USAGE:<4} wrong use: an unknown environment or option
  {ExitCode.UNABLE:<4} this machine is in the way: network, disk, ports
  {ExitCode.INTERRUPTED:<4} interrupted before it was up, or before everything was proven
"""

KEEP = click.option(
    "--keep",
    is_flag=True,
    help="Leave its folder in .local/environments, for the logs.",
)
ENVIRONMENT = click.argument("environment", metavar="ENV")
SET = click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="NAME=VALUE",
    help="A parameter that is to be another than in parameters/ENV.json; repeatable.",
)


@dataclass(frozen=True)
class Wanted:
    """What both commands are told."""

    environment: str
    overrides: Mapping[str, str]
    _: KW_ONLY
    keeps: bool
    begun_at: float


def commands(project: Path, build: Callable[[], None]) -> list[click.Command]:
    """Return both, knowing their project; ``build`` brings dist/ up to date."""

    @click.command(cls=DeliveryCommand, epilog=CODES)
    @ENVIRONMENT
    @SET
    @KEEP
    def local(environment: str, *, changes: tuple[str, ...], keep: bool) -> ExitCode:
        r"""Run an environment on this machine: the real Airflow, without AWS.

        Launches the templates in an emulator of its own, starts a real PostgreSQL and
        a real Valkey, and every component from its own task definition. Shows where
        the web page is and how to log in, then how every task is, until Ctrl-C; then
        nothing is left of it. Any number may run side by side, on ports of their own.

        The password is shown at a terminal; a pipe gets the command that shows it.

        What it needs is installed by itself: 400 MB, once.

        \b
        Examples
          build.py local dev
          build.py local prod --keep
          build.py local dev --set EnableFlower=true
        """
        wanted = _wanted(environment, changes, keep=keep)
        _check_system()

        def work() -> ExitCode:
            build()
            return _local(project, wanted)

        return _interruptible(work)

    @click.command(cls=DeliveryCommand, epilog=CODES)
    @ENVIRONMENT
    @click.option("--no-faults", is_flag=True, help="Leave out what breaks things.")
    @click.option(
        "--no-scaling", is_flag=True, help="Leave out the scaling of workers."
    )
    @SET
    @KEEP
    def rehearse(
        environment: str,
        *,
        no_faults: bool,
        no_scaling: bool,
        changes: tuple[str, ...],
        keep: bool,
    ) -> ExitCode:
        r"""Run an environment on this machine, and prove that it works.

        Brings it up as local does, then runs DAGs, logs in, looks for what must not
        be possible, and makes things fail under load. Prints a table of what was
        proven with what was seen, the time and the memory that it took, and what
        differs from AWS. Then nothing is left of it.

        \b
        Examples
          build.py rehearse dev
          build.py rehearse prod --no-faults --no-scaling
          build.py rehearse dev --keep      leaves the logs in .local/environments
        """
        wanted = _wanted(environment, changes, keep=keep)
        has_faults, has_scaling = not no_faults, not no_scaling
        _check_system()

        def work() -> ExitCode:
            build()
            return _rehearse(
                project, wanted, has_faults=has_faults, has_scaling=has_scaling
            )

        return _interruptible(work)

    made: list[click.Command] = [local, rehearse]
    for command in made:
        command.context_settings = {"help_option_names": ["-h", "--help"]}
    return made


def _wanted(environment: str, changes: tuple[str, ...], *, keep: bool) -> Wanted:
    """Return what was asked for; say it when a change is not NAME=VALUE."""
    wrong = [one for one in changes if "=" not in one]
    if wrong:
        raise click.BadParameter(f"{wrong[0]} is not NAME=VALUE.", param_hint="--set")
    overrides = dict(one.split("=", 1) for one in changes)
    return Wanted(environment, overrides, keeps=keep, begun_at=time.monotonic())


def _check_system() -> None:
    """Raise Unable where no environment can run, before anything is installed."""
    if reason := unsupported_system():
        raise Unable(
            Problem(
                where="this machine",
                what=reason,
                remedy="Use a Linux machine, or build.py launch ENV --local, which "
                "launches the templates without Airflow.",
            )
        )


def _interruptible(work: Callable[[], ExitCode]) -> ExitCode:
    """Do it; whatever runs has been stopped by the time an interruption gets here."""
    from local import interrupts

    interrupts.raise_on_all()
    try:
        return work()
    except KeyboardInterrupt:
        click.echo("\nInterrupted. Nothing of it runs.", err=True)
        return ExitCode.INTERRUPTED


def _local(project: Path, wanted: Wanted) -> ExitCode:
    from acceptance import report
    from local import progress
    from local.environment import LocalEnvironment
    from local.waiting import for_ever

    shown = progress.console()
    running = LocalEnvironment(
        project,
        wanted.environment,
        overrides=wanted.overrides,
        keeps=wanted.keeps,
        begun_at=wanted.begun_at,
        tell=_teller(shown),
    )
    with progress.ProgressTable(running, shown).showing(), running:
        report.print_login(running, shown)
        try:
            for_ever()
        except KeyboardInterrupt:
            shown.print("\nStopping ...")
    shown.print("Stopped; nothing of it runs.")
    return ExitCode.OK


def _rehearse(
    project: Path, wanted: Wanted, *, has_faults: bool, has_scaling: bool
) -> ExitCode:
    from acceptance import check, report, suites
    from deploy.dist import Dist
    from local import progress
    from local.environment import LocalEnvironment

    shown = progress.console()
    environment = Dist.read(project / "dist").environment(wanted.environment)
    selected = suites.select(
        environment, has_faults=has_faults, has_scaling=has_scaling
    )
    running = LocalEnvironment(
        project,
        wanted.environment,
        overrides={**selected.overrides, **wanted.overrides},
        extra_environment=selected.extra_environment,
        dags=selected.dags,
        keeps=wanted.keeps,
        begun_at=wanted.begun_at,
        tell=_teller(shown),
    )
    with running:
        results, ends = selected.run(running, _teller(shown), wanted.begun_at)
        report.print_report(running, results, ends, shown)
    return ExitCode(check.exit_code(results))


def _teller(shown: Console) -> Callable[[str], Any]:
    return lambda text: shown.print(text, markup=False, soft_wrap=True)
