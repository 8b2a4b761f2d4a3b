"""From the pages to ``dist/``, in five stages; a failure in one ends the build.

==========  ================================  =================
Stage       Reads                             Writes
==========  ================================  =================
unchanged?  sources, ``dist/``                nothing
compile     ``templates/``, ``runtime/``      nothing
check       the templates, ``parameters/``    nothing
lint        the staged folder                 the staged folder
exchange    the staged folder                 ``dist/``
==========  ================================  =================

Which pages there are is the caller's business: the compiler knows no template.
"""

from __future__ import annotations

import contextlib
import io
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cli.errors import ExitCode, Failure, Problem
from compiler import output

if TYPE_CHECKING:  # an unchanged rebuild loads none of these
    from compiler.lint import LintTask
    from compiler.parameters import EnvironmentFile
    from compiler.validation import Check
    from compiler.wiring import AssetFile, Template

PARENT = "parent.template.json"
"""The root that an operator launches: parameter files are for it."""

GIT_SYNC_PARENT = f"published/{PARENT}"
"""Where an operator who uses Git sync keeps the parent that publishing wrote: the one
in ``dist/`` names its nested stacks by relative path, and Git sync follows none."""

INPUTS = (
    "build.py",
    "compiler",
    "parameters",
    "requirements/tool.txt",
    "fargate_runtime",
    "templates",
)
"""The sources that decide what a build writes."""


@dataclass(frozen=True, kw_only=True)
class Project:
    """What is built, and where a checkout keeps it."""

    root: Path
    dist: Path
    compile_pages: Callable[[], Iterable[Template]]
    """Every template, a nested one before those that nest it."""
    assets: Callable[[], Mapping[str, AssetFile]]
    checks: Callable[[], Iterable[Check]]
    """What must hold between parameters and no template Rule can say."""

    @property
    def templates(self) -> Path:
        """The infrastructure, one page a stack."""
        return self.root / "templates"

    @property
    def parameters(self) -> Path:
        """One file an environment."""
        return self.root / "parameters"

    def inputs(self) -> str:
        """Return one digest over everything that decides what a build writes."""
        files: list[Path] = []
        for name in INPUTS:
            path = self.root / name
            files += output.sources(path) if path.is_dir() else [path]
        return output.inputs_digest(self.root, files)


@dataclass(frozen=True, kw_only=True)
class BuildOutcome:
    """How a build or a check ended that found nothing to correct."""

    has_changed: bool
    environments: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()
    """What nobody can know before launch."""


def build(project: Project) -> BuildOutcome:
    """Bring ``dist/`` up to date, or leave it exactly as it is."""
    with output.exclusive(project.dist), output.staged(project.dist) as stage:
        inputs = project.inputs()
        if output.is_made_from(project.dist, inputs):
            return BuildOutcome(has_changed=False)
        outcome = _build(project, stage, inputs)
        output.exchange(stage, project.dist)
    return outcome


def check(project: Project, names: Sequence[str]) -> BuildOutcome:
    """Hold parameter files against the parent; none named means all of them."""
    from compiler import parameters

    known = parameters.environments(project.parameters)
    environments = _loaded(
        [parameters.find(project.parameters, name) for name in names]
        or list(known.values())
    )
    (parent,) = (page for page in compiled(project) if page.path == PARENT)
    return _validated(environments, parent, project)


def compiled(project: Project) -> list[Template]:
    """Compile every page; an error in one says where in ``templates/`` it arose."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            pages = list(project.compile_pages())
    except Exception as error:
        line = _line_in(project.templates, error)
        if not line:
            raise
        raise Failure(_problem(error, line, said.getvalue())) from error
    sys.stderr.write(said.getvalue())
    return pages


def _build(project: Project, stage: Path, inputs: str) -> BuildOutcome:
    from compiler import lint, parameter_formats, parameters, quotas

    # Its workers take a second to wake up, and meanwhile the pages compile.
    with lint.CfnLint() as cfn_lint:
        environments = _loaded(parameters.environments(project.parameters).values())
        pages = compiled(project)
        templates = {page.path: (page.document, page.text()) for page in pages}
        _stop_at(quotas.over_quota(templates))
        (parent,) = (page for page in pages if page.path == PARENT)
        outcome = _validated(environments, parent, project)

        files = {path: text for path, (_, text) in templates.items()}
        for environment in environments:
            files |= parameter_formats.formats(
                environment, template_path=GIT_SYNC_PARENT
            )
        assets = {asset.path: asset.content for asset in project.assets().values()}
        content = {path: text.encode() for path, text in files.items()} | assets
        output.write(stage, content, inputs)

        tasks = list(_tasks(files, environments))
        found = lint.validate(stage, tasks) + cfn_lint.run(stage, tasks)
    _stop_at(lint.problems(found, project.templates))
    return outcome


def _tasks(
    files: Mapping[str, str], environments: Sequence[EnvironmentFile]
) -> Iterable[LintTask]:
    """Lint each template as it is, and the parent with each environment's values."""
    from compiler.lint import LintTask

    for path, text in files.items():
        if path.endswith(".template.json"):
            yield LintTask(template=path, weight=len(text))
    if environments:
        yield LintTask(
            template=PARENT,
            environments={e.name: e.parameters for e in environments},
            weight=len(files[PARENT]),
        )


def _loaded(paths: Iterable[Path]) -> list[EnvironmentFile]:
    """Read parameter files; complain of all that cannot be read at once."""
    from compiler import parameters

    environments: list[EnvironmentFile] = []
    problems: list[Problem] = []
    code = ExitCode.FAILED
    for path in paths:
        try:
            environments.append(parameters.load(_shown(path)))
        except Failure as failure:
            problems += failure.problems
            code = max(code, failure.exit_code)
    if problems:
        raise Failure(*problems, exit_code=code)
    return environments


def _validated(
    environments: Iterable[EnvironmentFile], parent: Template, project: Project
) -> BuildOutcome:
    from compiler.validation import validate

    checks = tuple(project.checks())
    findings = {
        environment.name: validate(environment, parent.document, checks)
        for environment in environments
    }
    _stop_at([problem for found in findings.values() for problem in found.problems])
    return BuildOutcome(
        has_changed=True,
        environments=tuple(findings),
        unchecked=tuple(
            note for found in findings.values() for note in found.unchecked
        ),
    )


def _shown(path: Path) -> Path:
    """Return a path as a person in this folder would write it."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _line_in(templates: Path, error: Exception) -> str:
    """Return the deepest line of a page that an error passed through, if any did."""
    lines = [
        (frame.filename, frame.lineno)
        for frame in traceback.extract_tb(error.__traceback__)
    ]
    if isinstance(error, SyntaxError) and error.filename:
        lines.append((error.filename, error.lineno))
    for filename, number in reversed(lines):
        if Path(filename).is_relative_to(templates):
            return f"{Path(filename).relative_to(templates.parent)}:{number}"
    return ""


def _problem(error: Exception, line: str, said: str) -> Problem:
    from compiler.wiring import WiringError

    if isinstance(error, WiringError):
        return Problem(
            where=f"{error.where} ({line})",
            what=f"{error.what}.",
            remedy=f"{error.remedy}{'' if error.remedy.endswith(('.', '?')) else '.'}",
        )
    return Problem(
        where=line,
        # troposphere prints what is wrong with a value and raises an empty error.
        what=" ".join(f"{type(error).__name__}: {error} {said}".split()),
        remedy="Correct this line.",
    )


def _stop_at(problems: list[Problem]) -> None:
    if problems:
        raise Failure(*problems)
