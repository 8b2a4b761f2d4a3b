"""From the templates to ``dist/``, in five stages; a failure in one ends the build.

==========  ================================  =================
Stage       Reads                             Writes
==========  ================================  =================
unchanged?  sources, ``dist/``                nothing
compile     ``templates/``, assets            nothing
check       the templates, ``parameters/``    nothing
lint        the staged folder                 the staged folder
exchange    the staged folder                 ``dist/``
==========  ================================  =================

Which templates there are is the caller's business: the compiler knows none.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cli.errors import ExitCode, Failure, Problem
from compiler import output

if TYPE_CHECKING:  # an unchanged rebuild loads none of these
    from compiler.lint import LintException, LintTask
    from compiler.parameters import EnvironmentFile
    from compiler.validation import Check
    from compiler.wiring import AssetFile, Template


@dataclass(frozen=True, kw_only=True)
class Project:
    """What is built, and where a checkout keeps it."""

    root: Path
    dist: Path
    root_template: str
    """The template that an operator launches: parameter files are for it."""
    inputs: tuple[str, ...]
    """Files and folders that decide what a build writes."""
    compile_templates: Callable[[], Iterable[Template]]
    """Every template, a nested one before those that nest it."""
    assets: Callable[[], Mapping[str, AssetFile]]
    checks: Callable[[], Iterable[Check]]
    """What must hold between parameters and no template Rule can express."""
    lint_exceptions: Callable[[], Iterable[LintException]] = tuple

    @property
    def templates(self) -> Path:
        """The modules of the templates."""
        return self.root / "templates"

    @property
    def parameters(self) -> Path:
        """One file for each environment."""
        return self.root / "parameters"

    def digest(self) -> str:
        """Return one digest over everything that decides what a build writes."""
        files: list[Path] = []
        for name in self.inputs:
            path = self.root / name
            files += output.sources(path) if path.is_dir() else [path]
        return output.inputs_digest(self.root, files)


@dataclass(frozen=True, kw_only=True)
class BuildOutcome:
    """The result of a build or a check without problems."""

    has_changed: bool
    environments: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()
    """What only a launch can decide."""
    misnamed: tuple[Problem, ...] = ()
    """Parameter files that are left out because of their names."""


def build(project: Project) -> BuildOutcome:
    """Bring ``dist/`` up to date, or leave it exactly as it is."""
    with output.exclusive(project.dist), output.staged(project.dist) as stage:
        inputs = project.digest()
        if output.is_made_from(project.dist, inputs):
            return BuildOutcome(has_changed=False, misnamed=_misnamed(project))
        outcome = _build(project, stage, inputs)
        output.exchange(stage, project.dist)
    return outcome


def check(project: Project, names: Sequence[str]) -> BuildOutcome:
    """Check parameter files against the root template; without names, all of them."""
    from compiler import parameters

    known = parameters.environments(project.parameters)
    environments = _loaded(
        [parameters.find(project.parameters, name) for name in names]
        or list(known.values())
    )
    outcome = _validated(environments, root_template(project), project)
    return outcome if not names else replace(outcome, misnamed=())


def check_overrides(
    project: Project, name: str, values: Mapping[str, str]
) -> tuple[Problem, ...]:
    """Check an environment with some other values against the built root template."""
    from compiler import parameters
    from compiler.validation import validate

    file = parameters.find(output.relative(project.parameters), name)
    document = json.loads((project.dist / project.root_template).read_text())
    environment = parameters.load(file).with_overrides(values)
    return validate(environment, document, tuple(project.checks())).problems


def root_template(project: Project) -> Template:
    """Compile the templates; return the one that an operator launches."""
    return _root_of(compiled(project), project)


def compiled(project: Project) -> list[Template]:
    """Compile every template; an error in one names its line in ``templates/``."""
    printed = io.StringIO()
    try:
        with contextlib.redirect_stderr(printed):
            templates = list(project.compile_templates())
    except Failure:
        raise
    except (Exception, SystemExit) as error:
        line = _line_in(project.templates, error)
        if not line:
            raise
        raise Failure(_problem(error, line, printed.getvalue())) from error
    sys.stderr.write(printed.getvalue())
    return templates


def _root_of(templates: Iterable[Template], project: Project) -> Template:
    (root,) = (t for t in templates if t.path == project.root_template)
    return root


def _build(project: Project, stage: Path, inputs: str) -> BuildOutcome:
    from compiler import lint, parameter_formats, parameters, quotas

    # Its workers take a second to start; meanwhile the templates compile.
    with lint.CfnLint() as cfn_lint:
        environments = _loaded(parameters.environments(project.parameters).values())
        templates = compiled(project)
        files = {template.path: template.text() for template in templates}
        _stop_at(
            quotas.over_quota({t.path: (t.document, files[t.path]) for t in templates})
        )
        outcome = _validated(environments, _root_of(templates, project), project)

        for environment in environments:
            files |= parameter_formats.formats(
                environment, root_template=project.root_template
            )
        assets = {asset.path: asset.content for asset in project.assets().values()}
        content = {path: text.encode() for path, text in files.items()} | assets
        output.write(stage, content, inputs)

        tasks = list(lint_tasks(files))
        findings = lint.validate(stage, tasks) + cfn_lint.run(stage, tasks)
    _stop_at(lint.problems(findings, project.lint_exceptions(), project.templates))
    return outcome


def lint_tasks(files: Mapping[str, str]) -> Iterable[LintTask]:
    """Yield each template as it is.

    Not with the values of environments: those are checked against the parameters, and
    what a linter says about a value in a template is a question to its author. Tests
    lint every parameter with every kind of value.
    """
    from compiler.lint import LintTask

    for path, text in files.items():
        if path.endswith(".template.json"):
            yield LintTask(template=path, weight=len(text))


def _loaded(paths: Iterable[Path]) -> list[EnvironmentFile]:
    """Read parameter files; report all that cannot be read together."""
    from compiler import parameters

    environments: list[EnvironmentFile] = []
    problems: list[Problem] = []
    code = ExitCode.FAILED
    for path in paths:
        try:
            environments.append(parameters.load(output.relative(path)))
        except Failure as failure:
            problems += failure.problems
            code = max(code, failure.exit_code)
    if problems:
        raise Failure(*problems, exit_code=code)
    return environments


def _validated(
    environments: Iterable[EnvironmentFile], root: Template, project: Project
) -> BuildOutcome:
    from compiler.validation import validate

    checks = tuple(project.checks())
    findings = {
        environment.name: validate(environment, root.document, checks)
        for environment in environments
    }
    _stop_at([problem for each in findings.values() for problem in each.problems])
    return BuildOutcome(
        has_changed=True,
        environments=tuple(findings),
        unchecked=tuple(note for each in findings.values() for note in each.unchecked),
        misnamed=_misnamed(project),
    )


def _misnamed(project: Project) -> tuple[Problem, ...]:
    from compiler import parameters

    return parameters.misnamed(output.relative(project.parameters))


def _line_in(templates: Path, error: BaseException) -> str:
    """Return the deepest line of a template that an error passed through, if any."""
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


def _problem(error: BaseException, line: str, printed: str) -> Problem:
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
        what=" ".join(f"{type(error).__name__}: {error} {printed}".split()),
        remedy="Correct this line.",
    )


def _stop_at(problems: list[Problem]) -> None:
    if problems:
        raise Failure(*problems)
