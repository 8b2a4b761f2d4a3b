"""The command line ``build.py``: every command, and what its errors become.

Imports are inside the commands: an unchanged rebuild loads neither troposphere nor a
linter.
"""

# ruff: noqa: PLC0415 - as said above

from __future__ import annotations

import signal
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

import click

from cli import product
from cli.deployment import Paragraphs, commands
from cli.errors import ExitCode, Failure, Problem
from cli.local import commands as local_commands
from cli.product import DIST, ROOT

if TYPE_CHECKING:
    from cli.deployment import EmulatorConnection
    from local.emulator.process import Emulator

AS_IT_WAS = "dist/ is exactly as it was."

ABOUT = f"""\b
Compile and deliver CloudFormation templates for Apache Airflow on ECS Fargate.

\b
The templates are Python, one page a stack, in templates/. What is written to
dist/ is JSON that CloudFormation takes as it is, with parameter files for
every environment in parameters/. templates, parameters and reference work
offline; local and rehearse run everything on this machine; the other commands
that name an environment call AWS, or with --local an emulator on this machine that
needs no account.

\b
Exit codes of templates and parameters; each other command says its own
  {ExitCode.OK:<4} done
  {ExitCode.FAILED:<4} the templates or the parameters need correcting
  {ExitCode.USAGE:<4} the command line does: an unknown command, option or name
  {ExitCode.UNABLE:<4} this machine is in the way: permissions, a full disk, a build
  {ExitCode.INTERRUPTED:<4} interrupted by Ctrl-C
After every code but 0, {AS_IT_WAS}

\b
Colours show at a terminal only; set NO_COLOR=1 to do without them.
"""

EXAMPLES = """\b
Examples
  build.py templates             compile, lint and write dist/
  build.py templates --dist out  the same, to another folder
  build.py parameters            check every file in parameters/
  build.py parameters prod       check one of them
  build.py launch dev --local    try the whole stack on this machine
  build.py plan prod             what an update would change
  build.py local dev             run Airflow itself on this machine
  build.py rehearse dev          run it and prove that it works
  build.py emulator stop         end the emulator that --local started
"""


class CommandLine(click.Group):
    """Turns every expected failure into a message and an exit code."""

    def invoke(self, context: click.Context) -> Any:
        """Run a command; report what stops it."""
        from cli import build_report

        signal.signal(signal.SIGTERM, _interrupt)
        try:
            return super().invoke(context)
        except Failure as failure:
            build_report.show(failure.problems, AS_IT_WAS)
            code = failure.exit_code
        except OSError as error:
            build_report.show((_obstacle(error),), AS_IT_WAS)
            code = ExitCode.UNABLE
        except KeyboardInterrupt:
            click.echo(f"\nInterrupted. {AS_IT_WAS}", err=True)
            code = ExitCode.INTERRUPTED
        # Not before: what an error still holds is cleaned up when it is let go.
        raise click.exceptions.Exit(code)


@click.group(
    cls=CommandLine,
    help=ABOUT,
    epilog=EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"]},
)
def main() -> None:
    """Compile and deliver CloudFormation templates for Apache Airflow on Fargate."""


@main.command(cls=Paragraphs)
@click.option(
    "--dist",
    type=click.Path(file_okay=False, path_type=Path),
    default=DIST,
    help="Folder to write, instead of dist/; a build replaces it whole.",
)
def templates(dist: Path) -> None:
    r"""Compile, check and lint every template, and write dist/.

    \b
    Every page in templates/ becomes <name>.template.json. Then
      - each template is held against CloudFormation's quotas,
      - each file in parameters/ is checked against the parent's parameters,
      - cfn-lint and cloudformation-validate read everything, also with the
        values of each environment.
    Only when all of that passes does the new dist/ take the place of the old
    one, in one step. When no source has changed and dist/ is as it was written,
    nothing is done.

    \b
    dist/ then holds
      <name>.template.json    the templates; nested ones by relative path
      parameters/             each environment in the shapes other tools take
      assets/runtime.zip      the Python that runs inside the tasks
      manifest.json           every file with its SHA-256
    """
    from cli import build_report
    from compiler import pipeline

    project = product.project(dist)
    with build_report.progress("Compiling and linting ..."):
        outcome = pipeline.build(project)
    build_report.show_build(project.dist, outcome)


@main.command(cls=Paragraphs)
@click.argument("environment", nargs=-1)
def parameters(environment: tuple[str, ...]) -> None:
    r"""Check parameter files against the parent template; write nothing.

    \b
    ENVIRONMENT is the name of a file in parameters/ without .json; without one,
    every file is checked. A file is held against the names, types, patterns,
    bounds and Rules of the parent template, and against what needs arithmetic:
    Fargate sizes, subnets in a VPC's range, connections a database can take.
    """
    from cli import build_report
    from compiler import pipeline

    outcome = pipeline.check(product.project(), environment)
    build_report.show_check(outcome)


@main.command(cls=Paragraphs)
def reference() -> None:
    """Write the table of parameters in README.md anew."""
    from compiler import reference

    pages = {page.name: page.document for page in product.compile_pages()}
    reference.update(ROOT / "README.md", pages["parent"])


@main.command(cls=Paragraphs)
@click.argument("action", type=click.Choice(["start", "stop", "erase"]))
def emulator(action: str) -> None:
    r"""Start, stop or erase the emulator that --local uses.

    \b
    start  start it, or say where it listens already
    stop   end it; what it holds is there again at the next start
    erase  end it and forget everything it held
    """
    click.echo(_emulator_told(action))


def _emulator_told(action: str) -> str:
    """Do what was asked of the emulator; return what to say of it."""
    own = _emulator()
    if action == "start":
        own.start()
        return f"The emulator listens at {own.endpoint_url}."
    if action == "stop":
        return "Stopped." if own.stop() else "It was not running."
    own.erase()
    return "Stopped, and everything it held is gone."


def _emulator(region: str | None = None) -> Emulator:
    from local.emulator.process import REGION, Emulator

    def tell(text: str) -> None:
        click.echo(text, err=True)

    return Emulator(ROOT, region=region or REGION, tell=tell)


def _connect_locally(region: str | None) -> EmulatorConnection:
    """Start the emulator if it does not run; return how deploy commands reach it."""
    own = _emulator(region)
    own.start()
    options = own.client_options
    if own.was_lost:
        click.echo(
            "The emulator had died, and what it held is lost; it starts empty.",
            err=True,
        )
    credentials = {
        name: str(value) for name, value in options.items() if name != "endpoint_url"
    }
    return own.endpoint_url, credentials, own.resource_kinds


def _obstacle(error: OSError) -> Problem:
    return Problem(
        where=str(error.filename or "this machine"),
        what=f"{error.strerror or error}.",
        remedy="Make room, or see to it that you may read and write it; then run "
        "this again.",
    )


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


for command in (
    *commands(DIST, _connect_locally),
    *local_commands(ROOT, product.build_if_changed),
):
    main.add_command(command)
