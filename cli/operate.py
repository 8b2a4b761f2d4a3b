"""The commands of an operator: logs, airflow, cost."""

# ruff: noqa: PLC0415 - the help of a command loads neither boto3 nor the templates

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from cli import console
from cli.command import Command
from cli.deployment import (
    JSON,
    CommandTarget,
    ProjectContext,
    environment_names,
    stack_command,
)
from cli.errors import ExitCode, Problem, Refused
from cloudformation import costs

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
DURATION = re.compile(r"(\d{1,6})([smhd])")

TASK_CHARACTERS = 8
"""Of the ID of a task, which tell the tasks of a component apart."""

LONGEST_DAYS = 3653
"""Ten years, the longest that a log group keeps its lines."""


class Duration(click.ParamType[timedelta]):
    """A number with a unit, as 10m."""

    name = "duration"

    def convert(
        self,
        value: Any,
        parameter: click.Parameter | None,
        context: click.Context | None,
    ) -> timedelta:
        """Return the duration."""
        match = DURATION.fullmatch(str(value))
        span = timedelta(**{UNITS[match[2]]: int(match[1])}) if match else None
        if span is None or span > timedelta(days=LONGEST_DAYS):
            self.fail(
                f"{value} is no duration. Write 90s, 10m, 2h or 3d, up to "
                f"{LONGEST_DAYS}d.",
                parameter,
                context,
            )
        return span


def component_names(
    _context: click.Context, _parameter: click.Parameter, begin: str
) -> list[str]:
    """Return the components whose names begin so, for the shell's completion."""
    from deploy.logs import POOLS as ALL_POOLS
    from templates.airflow.components import COMPONENTS, WORKER
    from templates.airflow.pools import POOLS

    names = [c.name for c in COMPONENTS if c is not WORKER]
    pools = [f"{pool.name}-workers" for pool in POOLS]
    return sorted(n for n in (*names, *pools, ALL_POOLS) if n.startswith(begin))


@stack_command(exclusive=(("follows", "as_json"),), only_reads=True)
@click.argument(
    "component", metavar="[COMPONENT]", default="", shell_complete=component_names
)
@click.option("--follow", "follows", is_flag=True, help="Print new lines until Ctrl-C.")
@click.option(
    "--since",
    type=Duration(),
    default="10m",
    show_default=True,
    metavar="DURATION",
    help="How far to look back, as 90s, 10m, 2h or 3d.",
)
@JSON
def logs(target: CommandTarget, component: str, **options: Any) -> ExitCode:
    r"""Print the logs of Airflow's components, in the order of their times.

    Without COMPONENT, those of all services. Other components are the one-off
    commands (command) and the migration job (migration); workers means those of all
    pools. A line has its time with the offset from UTC, the component and the first
    characters of the ID of its task. The log of a task in a DAG is in the Airflow UI.

    \b
    Examples
      ./build.py logs dev scheduler
      ./build.py logs prod workers --since 2h
      ./build.py logs prod --follow
      ./build.py logs dev --running --follow     of ./build.py local dev
      ./build.py logs prod scheduler --json | jq -r .Lines[].Message
    """
    from deploy import logs, stacks
    from deploy.console import clock
    from deploy.status import NO_AIRFLOW

    aws = target.aws()
    environment = target.environment(target.dist_if_built())
    stack = stacks.existing(aws, environment.stack_name)
    selected = logs.chosen(logs.components(aws, stack.id), component)
    since = datetime.now(UTC) - options["since"]
    if target.emulator:
        console.note(NO_AIRFLOW)
    if options["as_json"]:
        document = [line.as_json() for line in logs.lines(aws, selected, since)]
        console.document({"Lines": document})
        return ExitCode.OK
    read = logs.follow if options["follows"] else logs.lines
    is_empty = True
    for line in read(aws, selected, since):
        is_empty = False
        origin = f"{line.component}/{line.task[:TASK_CHARACTERS]}"
        console.output(f"{clock(line.time)}  {origin}  {line.text}")
    if is_empty:
        console.message("There is no line so young; --since 1d looks further back.")
    return ExitCode.OK


@stack_command(
    only_reads=True,
    meanings={
        ExitCode.OK: "the Airflow command ended with 0",
        ExitCode.FAILED: "as the Airflow command; every other code of it, too",
        ExitCode.REFUSED: "refused: no Airflow runs there, or the file names another "
        "account",
        ExitCode.INTERRUPTED: "interrupted (Ctrl-C); the task was stopped",
    },
)
@click.argument(
    "words", metavar="-- ARGUMENTS...", nargs=-1, required=True, type=click.UNPROCESSED
)
def airflow(target: CommandTarget, words: tuple[str, ...], **_options: Any) -> int:
    r"""Run one Airflow command in an environment, and end with its exit code.

    Starts a one-off task of the stack's own definition, in the network of the
    scheduler, prints its output and waits for its end. On Fargate that takes about a
    minute. Nothing can be typed into it: a command that asks needs its option --yes.
    Ctrl-C stops the task.

    The arguments are in the task's description and in CloudTrail: write no password
    in them. A command that does not end, as scheduler, is refused.

    \b
    Examples
      ./build.py airflow dev -- dags list
      ./build.py airflow dev --running -- dags list    in ./build.py local dev
      ./build.py airflow prod -- dags backfill create --help
      ./build.py airflow prod -- pools set default_pool 256 Default
    """
    from deploy import one_off

    text = one_off.arguments(words)
    if target.emulator:
        raise Refused(
            Problem(
                where=f"{target.name} --emulator",
                what="No Airflow runs in the emulator.",
                remedy="build.py local ENV runs one on this machine; add --running "
                "instead of --emulator.",
            )
        )
    environment = target.environment(target.dist_if_built())
    aws = target.aws()
    command = one_off.find(aws, environment.stack_name)
    return one_off.run(aws, command, text, console.output)


@click.command(
    cls=Command,
    meanings={ExitCode.FAILED: "the templates or the parameters need correcting"},
)
@click.argument("environment", metavar="ENV", shell_complete=environment_names)
@click.option(
    "--region",
    type=click.Choice(costs.REGIONS),
    default=costs.REGIONS[0],
    show_default=True,
    help="Region of the prices.",
)
@JSON
@click.pass_obj
def cost(
    project: ProjectContext, environment: str, *, region: str, as_json: bool
) -> ExitCode:
    r"""Estimate what an environment costs in a month, offline.

    Counts what its compiled templates create with its parameters, at rest and with
    every pool at its maximum, by the table of list prices in cloudformation/costs.py,
    and prints what it assumes and leaves out. It looks at no account.

    \b
    Examples
      ./build.py cost prod
      ./build.py cost prod --region eu-central-1
      ./build.py cost dev --json | jq .AtRest
    """
    from deploy.dist import Dist

    project.build(environment)
    dist = Dist.read(project.dist)
    values = dist.environment(environment, f"airflow-{environment}").parameters
    lines = costs.lines(costs.tree(dist.templates, dist.root, values, region))
    unpriced = sorted(
        {line.what for line in lines if line.monthly(region, line.rest) is None}
    )
    rest, most = (costs.summed(lines, region, at_most=m) for m in (False, True))
    if as_json:
        document = {
            "Region": region,
            "AtRest": round(rest, 2),
            "AtMost": round(most, 2),
            "Lines": [_cost_as_json(line, region) for line in lines],
            "Unpriced": unpriced,
            "Assumptions": list(costs.ASSUMPTIONS),
        }
        console.document(document)
        return ExitCode.OK
    rows = [
        (
            line.what,
            _dollars(line.monthly(region, line.rest)),
            _dollars(line.monthly(region, line.most)),
        )
        for line in lines
    ]
    total = ("Together", _dollars(rest), _dollars(most))
    console.table([*rows, total], (f"USD a month in {region}", "At rest", "At most"))
    for text in costs.ASSUMPTIONS:
        console.message(text)
    if unpriced:
        console.note(
            f"The table has no price in {region} for {', '.join(unpriced)}: the sum is "
            "too low by that."
        )
    return ExitCode.OK


def _dollars(amount: float | None) -> str:
    return "no price" if amount is None else f"{amount:,.2f}"


def _cost_as_json(line: costs.CostLine, region: str) -> dict[str, Any]:
    return {
        "Group": line.group,
        "What": line.what,
        "AtRest": line.monthly(region, line.rest),
        "AtMost": line.monthly(region, line.most),
    }


def commands(project: ProjectContext) -> list[click.Command]:
    """Return the commands, knowing their project."""
    all_commands: list[click.Command] = [logs, airflow, cost]
    for command in all_commands:
        command.context_settings = {
            "obj": project,
            "help_option_names": ["-h", "--help"],
        }
    return all_commands
