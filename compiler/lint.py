"""Lint the staged templates with cfn-lint and cloudformation-validate.

cfn-lint runs in worker processes, cloudformation-validate in this one. cfn-lint checks
the connections (that a nested stack gets each parameter, and that each output read
exists) only where ``TemplateURL`` is relative and the child lies below the working
directory, so its workers run in the staged folder. A canary test breaks a connection
and expects the error.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TextIO

from cli.errors import ExitCode, Failure, Problem

SECTIONS = ("Resources.", "Parameters.", "Outputs.", "Conditions.", "Rules.")


Linter = Literal["cfn-lint", "cloudformation-validate"]


@dataclass(frozen=True, kw_only=True)
class LintFinding:
    """What a linter says about one place of a template."""

    linter: Linter
    rule: str
    template: str
    place: str
    """Dotted, as ``Resources.Cluster.Properties.Engine``."""
    line: int
    message: str
    why: str
    environment: str = ""
    """The environment whose parameter values lead to it, if it takes any."""


@dataclass(frozen=True, kw_only=True)
class LintException:
    """A rule that does not hold somewhere, and why; many rules are in both linters."""

    rule: str
    reason: str
    linter: Linter | Literal["both"] = "both"
    template: str = "*"
    place: str = "*"

    def excuses(self, finding: LintFinding) -> bool:
        """Whether a finding is one we have answered."""
        return (
            self.linter in ("both", finding.linter)
            and self.rule == finding.rule
            and fnmatchcase(finding.template, self.template)
            and fnmatchcase(finding.place, self.place)
        )


@dataclass(frozen=True, kw_only=True)
class LintTask:
    """One template to lint, as it is or with the values of environments."""

    template: str
    environments: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    weight: int = 0
    """Approximate duration; the longest tasks start first."""


LEAST_ADDRESS_SPACE = 420_000_000
"""Bytes; measured with the templates of this project."""


CFN_LINT = "cfnlint.runner.template"


class CfnLint:
    """The worker processes of cfn-lint; started early, because that takes a second."""

    def __init__(self, workers: int | None = None) -> None:
        pairs = [socket.socketpair() for _ in range(workers or _processors())]
        self._connections = [own for own, _ in pairs]
        theirs = [their.fileno() for _, their in pairs]
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "compiler.lint_worker", *map(str, theirs)],
            cwd=Path(__file__).parents[1],
            pass_fds=theirs,
            stdin=subprocess.DEVNULL,
            # What ends a worker is found out and reported by the build.
            stderr=subprocess.DEVNULL,
            # Not reached by Ctrl-C at the terminal: the build ends it.
            start_new_session=True,
        )
        for _, their in pairs:
            their.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for connection in self._connections:
            connection.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def run(self, stage: Path, tasks: Sequence[LintTask]) -> list[LintFinding]:
        """Lint every task; workers take the next one as they finish."""
        waiting = sorted(tasks, key=lambda task: task.weight)
        findings: list[LintFinding] = []
        with selectors.DefaultSelector() as busy:
            for connection in self._connections[: len(waiting)]:
                lines = connection.makefile("r")
                task = waiting.pop()
                _ask(connection, stage, task)
                busy.register(connection, selectors.EVENT_READ, (lines, task))
            while busy.get_map():
                for key, _ in busy.select():
                    lines, task = key.data
                    findings += _answer(lines, task)
                    if waiting:
                        task = waiting.pop()
                        _ask(key.fileobj, stage, task)
                        busy.modify(key.fileobj, selectors.EVENT_READ, (lines, task))
                    else:
                        busy.unregister(key.fileobj)
        return findings


def _processors() -> int:
    """Return how many processors this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _ask(connection: Any, stage: Path, task: LintTask) -> None:
    question = {
        "stage": str(stage),
        "template": task.template,
        "environments": {n: dict(values) for n, values in task.environments.items()},
    }
    # If the worker has died, reading its answer reports that.
    with contextlib.suppress(BrokenPipeError):
        connection.sendall(json.dumps(question).encode() + b"\n")


def _answer(lines: TextIO, task: LintTask) -> Iterator[LintFinding]:
    try:
        line = lines.readline()
    except ConnectionResetError:
        line = ""
    if not line:
        # Raises ImportError where a damaged package has ended the worker.
        importlib.import_module(CFN_LINT)
    answer: dict[str, Any] = (
        json.loads(line) if line else {"crash": "its process was ended"}
    )
    if "crash" in answer:
        raise Failure(
            Problem(
                where=task.template,
                what=f"cfn-lint itself failed: {answer['crash'].strip()}",
                remedy="Nothing was checked. Run this again; if it fails again, it is "
                "a bug of cfn-lint or of compiler/lint_worker.py.",
            ),
            exit_code=ExitCode.UNABLE,
        )
    return (LintFinding(**finding) for finding in answer["findings"])


def validate(stage: Path, tasks: Sequence[LintTask]) -> list[LintFinding]:
    """Run cloudformation-validate over every task, in this process."""
    import cloudformation_validate as cv

    _check_memory()
    engine = cv.RegoEngine()
    findings: list[LintFinding] = []
    for task in tasks:
        template = cv.TemplateContent(
            (stage / task.template).read_bytes(), task.template
        )
        for environment, values in (task.environments or {"": {}}).items():
            report = engine.validate_template(
                template,
                cv.ValidateConfig(
                    # Below are remarks on resolved values, not problems.
                    severity_level=cv.Severity.WARN,
                    parameter_overrides=dict(values),
                ),
            )
            findings += _findings(report, task.template, environment)
    return findings


def _check_memory() -> None:
    """Raise Unable under a limit with which cloudformation-validate would abort."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < LEAST_ADDRESS_SPACE:
        raise Failure(
            Problem(
                where="this machine",
                what=f"A process may use {limit // 1_000_000} MB of memory.",
                why=f"The linters need {LEAST_ADDRESS_SPACE // 1_000_000} MB.",
                remedy="Raise the limit (ulimit -v unlimited), then run this again.",
            ),
            exit_code=ExitCode.UNABLE,
        )


def _findings(report: Any, template: str, environment: str) -> Iterator[LintFinding]:
    if report.status.name == "ANALYSIS_INCOMPLETE":
        yield LintFinding(
            linter="cloudformation-validate",
            rule="incomplete",
            template=template,
            place="",
            line=1,
            message="The analysis ran out of its budget",
            why="A template that was not checked entirely is not checked.",
            environment=environment,
        )
    for diagnostic in report.diagnostics:
        yield LintFinding(
            linter="cloudformation-validate",
            rule=diagnostic.rule_id,
            template=template,
            place=_place(diagnostic),
            line=diagnostic.start_line or 1,
            message=diagnostic.message,
            why=diagnostic.rule_description or "",
            environment=environment,
        )


def _place(diagnostic: Any) -> str:
    path = (diagnostic.property_path or "").replace("/", ".")
    entity = diagnostic.entity
    if entity is None or path.startswith(SECTIONS):
        return path
    section = f"{entity.entity_type.name.capitalize()}s"
    return ".".join(filter(None, (section, entity.logical_id, path)))


def unanswered(
    findings: Iterable[LintFinding], exceptions: Sequence[LintException]
) -> list[LintFinding]:
    """Return the findings that no exception answers."""
    return [
        finding
        for finding in findings
        if not any(exception.excuses(finding) for exception in exceptions)
    ]


def problems(
    findings: list[LintFinding], exceptions: Iterable[LintException], templates: Path
) -> list[Problem]:
    """Return a problem for each finding that no exception answers.

    Exceptions are kept in ``lint_exceptions.py`` beside the templates.
    """
    environments: dict[LintFinding, set[str]] = {}
    for finding in unanswered(findings, tuple(exceptions)):
        common = replace(finding, environment="")
        environments.setdefault(common, set()).add(finding.environment)
    return [
        Problem(
            where=f"{finding.template}:{finding.line} {finding.place}".rstrip(),
            what=f"{finding.message.rstrip('.')} ({finding.linter} {finding.rule}"
            # A problem without any values is not one of the values.
            + ("" if "" in names else f", with {', '.join(sorted(names))}")
            + ").",
            why=_sentence(finding.why),
            remedy=f"Correct it in {_source(finding, templates)}, or answer "
            f"{finding.rule} with a reason in {templates.name}/lint_exceptions.py.",
        )
        for finding, names in sorted(
            environments.items(), key=lambda entry: _reading_order(entry[0])
        )
    ]


def _reading_order(finding: LintFinding) -> tuple[str, int, str, str, str]:
    return (
        finding.template,
        finding.line,
        finding.rule,
        finding.linter,
        finding.message,
    )


def _source(finding: LintFinding, templates: Path) -> str:
    """Return the file and line of a template module that a finding is about."""
    module = finding.template.removesuffix(".template.json").replace("-", "_")
    file = templates / f"{module}.py"
    name = f"{templates.name}/{file.name}"
    parts = finding.place.split(".")
    if len(parts) > 1 and file.exists():
        for number, line in enumerate(file.read_text().splitlines(), 1):
            if f'"{parts[1]}"' in line:
                return f"{name}:{number}"
    return name


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    return text if not text or text.endswith(".") else f"{text}."
