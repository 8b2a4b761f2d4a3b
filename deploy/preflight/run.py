"""Ask every question of the table at once, and report the answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from cli import console
from cli.errors import Denied, ExitCode, Failure, Problem, Refused
from deploy.aws import CONNECTIONS
from deploy.preflight.context import LaunchContext
from deploy.preflight.findings import Check, Finding, Verdict, unknown
from deploy.preflight.table import CHECKS

STYLES = {
    Verdict.OK: "green",
    Verdict.WARNING: "yellow",
    Verdict.REFUSED: "bold red",
    Verdict.UNKNOWN: "cyan",
}

NOT_EMULATED = "Not asked: the emulator has no answer that means something on AWS."


@dataclass(frozen=True)
class Answer:
    """A question with one of its findings."""

    check: Check
    finding: Finding


@dataclass(frozen=True)
class Report:
    """All answers, in the order of the table."""

    answers: tuple[Answer, ...]

    @property
    def refusals(self) -> list[Answer]:
        """The answers with which no launch should start."""
        return self.of(Verdict.REFUSED)

    def of(self, verdict: Verdict) -> list[Answer]:
        """Return the answers of one verdict."""
        return [each for each in self.answers if each.finding.verdict is verdict]

    @property
    def summary(self) -> str:
        """How many answers there are of each verdict."""
        counts = Counter(each.finding.verdict for each in self.answers)
        return ", ".join(
            f"{counts[verdict]} {verdict.value}"
            for verdict in Verdict
            if counts[verdict]
        )


def preflight(context: LaunchContext, checks: Sequence[Check] = CHECKS) -> Report:
    """Ask every question, in parallel.

    Credentials that AWS does not accept end it; a question that may not be asked, or
    gets no answer, is reported as unknown.
    """
    # Computed once, before the threads read them; and it needs the account.
    _ = context.stack, context.resources, context.launch_role
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        rows = list(threads.map(partial(_asked, context), checks))
    return Report(tuple(answer for row in rows for answer in row))


def _asked(context: LaunchContext, check: Check) -> list[Answer]:
    return [Answer(check, finding) for finding in _findings(context, check)]


def _findings(context: LaunchContext, check: Check) -> Iterator[Finding]:
    if context.aws.is_local and not check.emulated:
        yield unknown(NOT_EMULATED)
        return
    try:
        yield from check.run(context)
    except Denied as error:
        (problem,) = error.problems
        yield unknown("Not allowed to ask.", problem.remedy)
    except Failure as error:
        problem = error.problems[0]
        yield unknown(
            f"No answer: {problem.what} {problem.why}".strip(), problem.remedy
        )


def print_report(report: Report) -> None:
    """Print every answer as a row of a table, with its remedy below it."""
    width = max((len(each.check.name) for each in report.answers), default=0)
    skipped = []
    for each in report.answers:
        if each.finding.text == NOT_EMULATED:
            skipped.append(each.check.name)
        else:
            _print(each, width)
    if skipped:
        console.result(f"{Verdict.UNKNOWN.value:<8} {', '.join(skipped)}")
        console.result(f"{'':<8} {NOT_EMULATED}", style="dim")
    console.message(f"\n{report.summary}.")


def _print(answer: Answer, width: int) -> None:
    finding = answer.finding
    console.result(
        f"{finding.verdict.value:<8} {answer.check.name:<{width}}  {finding.text}",
        style=STYLES[finding.verdict] if finding.verdict is not Verdict.OK else "",
    )
    if finding.remedy:
        console.result(f"{'':<8} {'':<{width}}  -> {finding.remedy}", style="dim")


def as_json(context: LaunchContext, report: Report) -> dict[str, Any]:
    """Return every answer for a script."""
    aws = context.aws
    return {
        "Account": aws.account,
        "Region": aws.region,
        "Stack": context.environment.stack_name,
        "Checks": [
            {
                "Name": each.check.name,
                "Verdict": each.finding.verdict.value,
                "Text": each.finding.text,
                "Remedy": each.finding.remedy,
            }
            for each in report.answers
        ],
    }


def exit_code(report: Report) -> ExitCode:
    """Return what a script should know: whether a launch would be refused."""
    return ExitCode.REFUSED if report.refusals else ExitCode.OK


def before_launch(context: LaunchContext) -> None:
    """Ask everything; tell warnings in short, and refuse what cannot work."""
    with console.progress("Checking the account and the region ..."):
        report = preflight(context)
    for each in report.of(Verdict.WARNING):
        if not each.check.is_mended_by_launch:
            console.note(_sentence(each))
    if report.refusals:
        raise Refused(*map(_problem, report.refusals))
    console.message(
        f"Preflight: {report.summary}; `build.py preflight ENV` shows them."
    )


def _sentence(answer: Answer) -> str:
    return f"{answer.check.name}: {answer.finding.text} {answer.finding.remedy}"


def _problem(answer: Answer) -> Problem:
    return Problem(
        where=answer.check.name,
        what=answer.finding.text,
        remedy=f"{answer.finding.remedy} --no-preflight launches without this check.",
    )
