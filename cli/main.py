"""The command line ``build.py``: every command.

Imports are inside the commands: an unchanged rebuild loads neither troposphere nor a
linter.
"""

# ruff: noqa: PLC0415 - as said above

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli import (
    connections,
    console,
    dags,
    deployment,
    image,
    local,
    operate,
    product,
    verify,
    workspace,
)
from cli.command import CommandGroup
from cli.errors import ExitCode
from cli.product import DIST, ROOT

if TYPE_CHECKING:
    from cli.deployment import EmulatorConnection
    from local.emulator.process import EmulatorProcess

ABOUT = """\b
Compile and deploy CloudFormation templates for Apache Airflow on ECS Fargate.

\b
The templates are written in Python, one module for each stack, in templates/.
dist/ is JSON that CloudFormation takes as it is, with parameter files for
every environment in parameters/. templates, parameters and reference work
offline. local and verify --local run Airflow on this machine. The other commands
with an environment call AWS, or with --emulator a CloudFormation emulator on this
machine, which needs no account and runs no Airflow.

\b
The help of each command lists its exit codes.
Colours show at a terminal only; --no-color or NO_COLOR=1 switches them off.
"""

EXAMPLES = """\b
Examples
  ./build.py templates               compile, lint and write dist/
  ./build.py templates --dist out    the same, to another folder
  ./build.py parameters              check every file in parameters/
  ./build.py parameters prod         check one of them
  ./build.py launch dev --emulator   create all stacks in the local emulator
  ./build.py plan prod               show what an update would change
  ./build.py local dev               run Airflow on this machine
  ./build.py verify dev --local      run it and check that it works
  ./build.py verify prod             check a launched environment
  ./build.py dags push dev dags/     release DAGs to an environment
  ./build.py logs prod --follow      print the logs of Airflow's components
  ./build.py airflow prod -- dags list    run one Airflow command
  ./build.py connections prod        write what Airflow reads in Secrets Manager
  ./build.py emulator stop           stop the emulator that --emulator started
  ./build.py init test --like dev    write the file of a new environment
  ./build.py ls                      list the environments and their state
  ./build.py doctor                  check this machine
"""

MEANINGS = {ExitCode.FAILED: "the templates or the parameters need correcting"}


@click.group(
    cls=CommandGroup,
    help=ABOUT,
    epilog=EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(product.version(), message="build.py %(version)s")
def main() -> None:
    """Compile and deploy CloudFormation templates for Apache Airflow on Fargate."""


@main.command(meanings=MEANINGS)
@click.option(
    "--dist",
    type=click.Path(file_okay=False, path_type=Path),
    default=DIST,
    help="Folder to write, instead of dist/; a build replaces the whole folder.",
)
@deployment.JSON
def templates(dist: Path, *, as_json: bool) -> None:
    r"""Compile, check and lint every template, and write dist/.

    \b
    Every template in templates/ becomes <name>.template.json. Then
      - each template is checked against CloudFormation's quotas,
      - each file in parameters/ is checked against the parent's parameters,
      - cfn-lint and cloudformation-validate check everything, also with the
        values of each environment.
    Only when all of that passes does the new dist/ replace the old one, in one
    step. When no source has changed and dist/ is as it was written, nothing is
    done.

    \b
    dist/ then holds
      <name>.template.json    the templates; nested ones by relative path
      parameters/             each environment in the formats of other tools
      assets/runtime.zip      the Python that runs in the containers
      manifest.json           every file with its SHA-256
    """
    from cli import build_report
    from compiler import pipeline

    project = product.project(dist)
    with console.progress("Compiling and linting ..."), _noting_no_change(project.dist):
        outcome = pipeline.build(project)
    build_report.print_build(project, outcome, as_json=as_json)


@contextmanager
def _noting_no_change(dist: Path) -> Iterator[None]:
    """Add to an error that ``dist`` is unchanged, if it is."""
    from compiler.output import manifest

    before = manifest(dist)
    try:
        yield
    except BaseException as error:
        if manifest(dist) == before:
            error.add_note(f"{dist.name}/ is exactly as it was.")
        raise


@main.command(meanings=MEANINGS)
@click.argument("environment", nargs=-1, shell_complete=deployment.environment_names)
@deployment.JSON
def parameters(environment: tuple[str, ...], *, as_json: bool) -> None:
    r"""Check parameter files against the parent template; write nothing.

    \b
    ENVIRONMENT is the name of a file in parameters/ without .json; without one,
    every file is checked. A file is checked against the names, types, patterns,
    bounds and Rules of the parent template, and by what needs arithmetic:
    Fargate sizes, subnets in a VPC's range, connections a database can take.

    \b
    A file has these sections; every value is a string.
      Parameters    values of the parent's parameters; required
      Tags          tags of the stack, which CloudFormation puts on all resources
      StackPolicy   a CloudFormation stack policy, as {"Statement": [...]};
                    launch sets it on the parent stack after each success
    """
    from cli import build_report
    from compiler import pipeline

    outcome = pipeline.check(product.project(), environment)
    build_report.print_check(outcome, as_json=as_json)


@main.command(meanings=MEANINGS)
def reference() -> None:
    """Write docs/parameters.md, docs/permissions.md and the README's cost table."""
    from cli import cost_table
    from compiler import pipeline, reference
    from templates import permissions_page

    root = pipeline.root_template(product.project())
    pages = {
        cost_table.PATH: cost_table.page(root),
        reference.PATH: reference.page(root.document),
        permissions_page.PATH: permissions_page.page(root.walk()),
    }
    for path, text in pages.items():
        (ROOT / path).write_text(text)
        console.message(f"Wrote {path}.")


@main.command(never=(ExitCode.FAILED,))
@click.argument("action", type=click.Choice(["start", "stop", "erase"]))
@deployment.JSON
def emulator(action: str, *, as_json: bool) -> None:
    r"""Start, stop or erase the emulator that --emulator uses.

    \b
    start  start it, or print where it listens already
    stop   stop it; its stacks are there again at the next start
    erase  stop it and delete its stacks and data
    """
    what = _control_emulator(action)
    record = _emulator().running()
    document = {"Endpoint": record.endpoint_url if record else None, "What": what}
    if as_json:
        console.document(document)
    else:
        console.result(what)


def _control_emulator(action: str) -> str:
    """Start, stop or erase the emulator; return a sentence about its state."""
    shared = _emulator()
    if action == "start":
        shared.start()
        return f"The emulator listens at {shared.endpoint_url}."
    if action == "stop":
        return "Stopped." if shared.stop() else "It was not running."
    shared.erase()
    return "Stopped; its stacks and data are deleted."


def _emulator(region: str | None = None) -> EmulatorProcess:
    from local.emulator.process import REGION, EmulatorProcess

    return EmulatorProcess(ROOT, region=region or REGION, tell=console.message)


def _connect_emulator(region: str | None) -> EmulatorConnection:
    """Start the emulator if it does not run; return how deploy commands reach it."""
    shared = _emulator(region)
    shared.start()
    options = shared.client_options
    if shared.was_lost:
        console.message("The emulator had crashed; its stacks are lost. It is empty.")
    credentials = {
        name: str(value) for name, value in options.items() if name != "endpoint_url"
    }
    return shared.endpoint_url, credentials, shared.resource_kinds


for command in (
    *deployment.commands(
        DIST,
        _connect_emulator,
        build=product.build_if_changed,
        target=product.target,
    ),
    *workspace.commands(
        deployment.ProjectContext(DIST, _connect_emulator, target=product.target), main
    ),
    dags.group(
        deployment.ProjectContext(
            DIST, _connect_emulator, product.build_if_changed, product.target
        )
    ),
    connections.command(
        deployment.ProjectContext(
            DIST, _connect_emulator, product.build_if_changed, product.target
        )
    ),
    image.command(
        deployment.ProjectContext(
            DIST, _connect_emulator, product.build_if_changed, product.target
        )
    ),
    *operate.commands(
        deployment.ProjectContext(
            DIST, _connect_emulator, product.build_if_changed, product.target
        )
    ),
    local.command(ROOT, product.build_if_changed, product.check_overrides),
    verify.command(
        ROOT,
        deployment.ProjectContext(
            DIST, _connect_emulator, product.build_if_changed, product.target
        ),
        check=product.check_overrides,
        version=product.version,
    ),
):
    main.add_command(command)
