"""The command ``connections``: what an environment needs in Secrets Manager."""

# ruff: noqa: PLC0415 - the help of a command loads neither boto3 nor yaml

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import console
from cli.deployment import JSON, YES, CommandTarget, ProjectContext, stack_command
from cli.errors import ExitCode, Failure, Problem, UsageError
from cli.product import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deploy.connection_file import Entry
    from deploy.connections import State

STDIN = "-"

MARKS = {"missing": "+", "present": " ", "not in the file": "?"}

MEANINGS = {
    ExitCode.FAILED: "failed: a connection or variable is missing, or a file is wrong",
    ExitCode.REFUSED: "refused: not confirmed, or the stack has no SecretsPrefix",
}


@stack_command(only_reads=True, meanings=MEANINGS, exclusive=(("values", "as_json"),))
@click.option(
    "--values",
    metavar="FILE",
    help="JSON with values to write, or - for standard input; those that are there "
    "already are replaced.",
)
@YES
@JSON
def connections(target: CommandTarget, **options: Any) -> ExitCode:
    r"""Compare connections/ENV.yaml with Secrets Manager, and write missing values.

    The file has names and kinds, no values. Each name is missing, present, or not in
    the file; ends with 1 while one is missing. At a terminal the value of each missing
    one can be typed, unseen. Values are never printed, read back or taken as arguments.

    \b
      connections:
        warehouse: postgres        the type of the connection
      variables:
        region: text               or json

    A value of a connection is a URI or a JSON object of Airflow's fields. Secrets are
    below the stack's SecretsPrefix, encrypted with its key, with the tag AirflowStack.
    Airflow uses a new value within a minute. Nothing is deleted.

    \b
    Examples
      ./build.py connections prod
      ./build.py connections prod --values values.json
      pass show airflow/prod | ./build.py connections prod --values - --yes
      ./build.py connections dev --emulator
    """
    from deploy import connection_file
    from deploy import connections as secrets

    shown = f"connections/{target.name}.yaml"
    entries = connection_file.read(ROOT / shown, shown)
    values: dict[str, str] = {}
    if source := options["values"]:
        values = connection_file.read_values(*_text(source, entries))
    aws = target.aws()
    place = secrets.store(aws, target.stack())
    states = secrets.compare(aws, place, entries)
    if options["as_json"]:
        console.document(
            {
                "Prefix": place.prefix,
                "Secrets": [
                    {"Path": s.path, "Kind": s.kind, "Status": s.status} for s in states
                ],
            }
        )
    else:
        _print(states, place.prefix)
    missing = {s.path for s in states if s.status == secrets.MISSING}
    if source:
        _confirm(values, missing, place.prefix, yes=options["yes"])
    elif missing and not options["as_json"]:
        values = _typed([entries[path] for path in entries if path in missing])
    for path, text in values.items():
        secrets.write(aws, place, entries[path], text, is_new=path in missing)
        console.result(f"wrote {path}")
    return ExitCode.FAILED if missing - values.keys() else ExitCode.OK


def _text(
    source: str, entries: Mapping[str, Entry]
) -> tuple[str, Mapping[str, Entry], str]:
    """Return the document of values, the entries, and what messages call it."""
    if source == STDIN:
        return sys.stdin.read(), entries, "standard input"
    try:
        return Path(source).read_text(encoding="utf-8"), entries, source
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            Problem(
                where=f"--values {source}",
                what="The file cannot be read.",
                remedy="Name a file with JSON, or - for standard input.",
            )
        ) from error


def _print(states: Sequence[State], prefix: str) -> None:
    for state in states:
        kind = f" ({state.kind})" if state.kind else ""
        console.result(f"{MARKS[state.status]} {state.path}{kind}  {state.status}")
    counts = {
        status: sum(state.status == status for state in states) for status in MARKS
    }
    summary = ", ".join(f"{count} {status}" for status, count in counts.items())
    console.result(f"{summary}, below {prefix}/.")


def _confirm(
    values: Mapping[str, str], missing: set[str], prefix: str, *, yes: bool
) -> None:
    from deploy import prompts

    replaced = sorted(values.keys() - missing)
    if not values:
        raise Failure(Problem(where="--values", what="It has no value."))
    if replaced:
        prompts.confirm(f"Replace {', '.join(replaced)}?", where=f"{prefix}/", yes=yes)


def _typed(missing: Sequence[Entry]) -> dict[str, str]:
    """Return the values that the operator types; none without a terminal."""
    from deploy import connection_file, prompts

    if not prompts.agrees("Type the missing values now?"):
        return {}
    values: dict[str, str] = {}
    for entry in missing:
        form = "a URI or JSON" if entry.group == "connections" else entry.kind
        typed = click.prompt(
            f"{entry.title} ({entry.kind}), {form}; empty to skip",
            default="",
            show_default=False,
            hide_input=True,
            err=True,
        )
        try:
            if typed:
                values[entry.path] = connection_file.secret_text(entry, typed)
        except ValueError as error:
            what = f"{error}. Nothing was written."
            raise Failure(Problem(where=entry.title, what=what)) from None
    return values


def command(project: ProjectContext) -> click.Command:
    """Return the command, knowing its project."""
    connections.context_settings = {
        "obj": project,
        "help_option_names": ["-h", "--help"],
    }
    return connections
