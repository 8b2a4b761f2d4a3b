"""What a rehearsal prints: how to log in, what was proven, and what it took."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from acceptance import check
from acceptance.check import Result, Verdict
from local.environment import HEALTHY, Stage

PROVEN = "all proofs without faults"
LIMITS = {HEALTHY: 60, PROVEN: 240}
"""Seconds from the command on."""

MEBIBYTES = 6 * 1024

QUIET = "for two cores that do nothing else"


def door(stage: Stage, console: Console) -> None:
    """Say where the web page is and how to log in.

    The password is shown at a terminal alone: it opens nothing but this stage and goes
    with it, yet a log stays.
    """
    user, password = stage.admin
    lines = [f"Web page  {stage.url}", f"User      {user}"]
    if console.is_terminal:
        lines.append(f"Password  {password}")
    else:
        command = stage.outputs["AdminLoginCommand"].replace(
            "aws ", f"aws --endpoint-url {stage.agent.url} ", 1
        )
        account = stage.agent.settings.account
        keys = f"AWS_ACCESS_KEY_ID={account} AWS_SECRET_ACCESS_KEY=local"
        lines.append(f"Password  {keys} {command}")
    if stage.url.startswith("https:"):
        lines.append(f"Signed by {stage.folder / 'ca' / 'ca.pem'}")
    lines += [f"Logs      {stage.folder / 'a' / 'logs'}", "Ctrl-C ends it.", ""]
    for line in lines:
        console.print(Text(line), soft_wrap=True)


def left_out(title: str, option: str) -> Result:
    """Return the line of a part that was not wanted."""
    return Result(title, Verdict.LEFT_OUT, 0.0, f"{option} was given.")


def whole(
    stage: Stage, results: Sequence[Result], ends: Mapping[str, float], console: Console
) -> None:
    """Print everything that was seen, and what it was seen by.

    ``ends`` has the seconds from the command to the end of each part of the proof.
    """
    console.print(check.table(results))
    console.print(_costs(stage, ends))
    console.print(Text("What differs from AWS", style="bold"))
    for sentence in stage.deviations():
        console.print(Text(f"  {sentence}"), soft_wrap=True)
    failed = sum(not result.passed for result in results)
    proven = sum(result.verdict is Verdict.PROVEN for result in results)
    console.print(
        Text(f"\n{proven} proven, {failed} failed.", style="red" if failed else "green")
    )


def _costs(stage: Stage, ends: Mapping[str, float]) -> Table:
    shown = Table(box=None, padding=(0, 2), pad_edge=False, header_style="bold")
    shown.add_column("What it took")
    shown.add_column("", justify="right")
    shown.add_column(f"Limit {QUIET}")
    for what, value, limit, unit in _figures(stage, ends):
        is_over = limit is not None and value > limit
        shown.add_row(
            what,
            Text(f"{value:,.0f} {unit}", style="bold red" if is_over else ""),
            "" if limit is None else f"{limit:,} {unit}",
        )
    return shown


def _figures(
    stage: Stage, ends: Mapping[str, float]
) -> Iterator[tuple[str, float, int | None, str]]:
    for what, seconds in {**stage.seconds, **ends}.items():
        yield f"from the command to: {what}", seconds, LIMITS.get(what), "s"
    yield "memory of all processes, at most", stage.peak_mebibytes, MEBIBYTES, "MiB"
