"""The report: how to log in, the table of checks, and the time and memory they took."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from acceptance.aws.environment import AwsEnvironment
from acceptance.aws.suite import Verification
from acceptance.browser import REPORTS
from acceptance.check import CheckResult, Outcome, count, table
from acceptance.environment import Environment
from acceptance.suites import WITHOUT_FAULTS
from cli.console import launcher, record
from local.client import REGION
from local.environment import HEALTHY, LocalEnvironment

LIMITS = {HEALTHY: 60, WITHOUT_FAULTS: 240}
"""Seconds from the command on."""

MEBIBYTES = 6 * 1024

HTML_WIDTH = 160
"""Characters of a line of the HTML report."""


def print_login(environment: LocalEnvironment, console: Console, dags: Path) -> None:
    """Print the address of the UI, how to log in, and where DAG files are put.

    The password is shown at a terminal alone: it is only good for this environment, yet
    a log stays.
    """
    user, password = environment.admin
    account = environment.agent.settings.account
    keys = (
        f"AWS_ACCESS_KEY_ID={account} AWS_SECRET_ACCESS_KEY=local "
        f"AWS_DEFAULT_REGION={REGION}"
    )
    lines = [f"Web page  {environment.url}", f"User      {user}"]
    if console.is_terminal:
        lines.append(f"Password  {password}")
    else:
        command = environment.outputs["AdminLoginCommand"].replace(
            "aws ", f"aws --endpoint-url {environment.agent.url} ", 1
        )
        lines.append(f"Password  {keys} {command}")
    if environment.url.startswith("https:"):
        lines.append(f"Signed by {environment.ca_path}")
    lines += [
        f"Logs      {environment.logs_folder}",
        f"DAGs      {dags}",
        "          Files there are copied at once, and seen within ten seconds.",
        f"AWS       export AWS_ENDPOINT_URL={environment.agent.url} {keys}",
        f"Outputs   {launcher()} outputs {environment.name} --running",
        "Ctrl-C stops and deletes it.",
        "",
    ]
    for line in lines:
        console.print(Text(line), soft_wrap=True)


def print_report(
    environment: LocalEnvironment,
    results: Sequence[CheckResult],
    ends: Mapping[str, float],
    console: Console,
) -> None:
    """Print every result, the time and memory that it took, and what differs from AWS.

    ``ends`` has the seconds from the command to the end of each suite.
    """
    console.print(table(results))
    console.print(_costs(environment, ends))
    console.print(Text("Differences from AWS", style="bold"))
    for sentence in environment.deviations():
        console.print(Text(f"  {sentence}"), soft_wrap=True)
    passed, failed, skipped = (count(results, outcome) for outcome in Outcome)
    console.print(
        Text(
            f"\n{passed} passed, {failed} failed, {skipped} skipped",
            style="red" if failed else "green",
        )
    )


def _costs(environment: LocalEnvironment, ends: Mapping[str, float]) -> Table:
    shown = Table(box=None, padding=(0, 2), pad_edge=False, header_style="bold")
    shown.add_column("Time and memory")
    shown.add_column("", justify="right")
    shown.add_column("Limit for two cores that do nothing else")
    for what, value, limit, unit in _figures(environment, ends):
        is_over = limit is not None and value > limit
        shown.add_row(
            what,
            Text(f"{value:,.0f} {unit}", style="bold red" if is_over else ""),
            "" if limit is None else f"{limit:,} {unit}",
        )
    return shown


def _figures(
    environment: LocalEnvironment, ends: Mapping[str, float]
) -> Iterator[tuple[str, float, int | None, str]]:
    for what, seconds in {**environment.seconds, **ends}.items():
        yield f"from the command to: {what}", seconds, LIMITS.get(what), "s"
    yield "memory of all processes, peak", environment.peak_mebibytes, MEBIBYTES, "MiB"


def print_verification(
    environment: AwsEnvironment, verification: Verification, console: Console
) -> None:
    """Print the checks of a launched environment, their cost and what is left."""
    console.print(table(verification.results))
    if environment.is_local:
        cost = f"On AWS it would cost {verification.cost}."
    else:
        cost = f"Cost: {verification.cost}."
    lines = [f"{verification.seconds:.0f} s. {cost}"]
    lines += [f"NOT REMOVED: {text}" for text in verification.left]
    for line in lines:
        console.print(Text(line), soft_wrap=True)
    passed, failed, skipped = (
        count(verification.results, outcome) for outcome in Outcome
    )
    console.print(
        Text(
            f"{passed} passed, {failed} failed, {skipped} skipped",
            style="red" if verification.has_failed else "green",
        )
    )


def verification_facts(
    environment: AwsEnvironment, verification: Verification
) -> dict[str, Any]:
    """Return what the written report says beside the checks."""
    return {
        "Stack": environment.stack.name,
        "StackId": environment.stack.id,
        "Region": environment.aws.region,
        "Version": environment.outputs["Version"],
        "IsLocal": environment.is_local,
        "Seconds": round(verification.seconds, 1),
        "UsCents": round(verification.cost.cents, 2),
        "NotRemoved": verification.left,
    }


def write(
    environment: Environment,
    results: Sequence[CheckResult],
    facts: Mapping[str, Any],
    show: Callable[[Console], None],
) -> tuple[Path, Path]:
    """Write ``verify-ENV.json`` and ``verify-ENV.html``; return their paths.

    With --json the command prints the former at its end. ``show`` prints the report,
    for the HTML.
    """
    folder = environment.project / REPORTS
    folder.mkdir(parents=True, exist_ok=True)
    written = datetime.now(UTC).isoformat(timespec="seconds")
    document = {
        "Environment": environment.name,
        "At": written,
        **facts,
        "Checks": [
            {
                "Title": result.title,
                "Outcome": result.outcome.value.lower(),
                "Seconds": round(result.seconds, 1),
                "Observed": result.detail,
            }
            for result in results
        ],
    }
    record(**document)
    path = folder / f"verify-{environment.name}.json"
    path.write_text(json.dumps(document, indent=2) + "\n")
    recorder = Console(record=True, file=io.StringIO(), width=HTML_WIDTH)
    recorder.print(Text(f"{environment.name}, {written}", style="bold"))
    show(recorder)
    page = folder / f"verify-{environment.name}.html"
    page.write_text(recorder.export_html(inline_styles=True))
    return path, page
