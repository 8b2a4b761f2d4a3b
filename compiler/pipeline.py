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

import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from compiler import lint, output, quotas
from compiler.assets import sources
from compiler.problems import Failure, Problem

if TYPE_CHECKING:  # importing the kernel imports troposphere, which takes its time
    from compiler.wiring import AssetFile, Page

INPUTS = (
    "build.py",
    "compiler",
    "parameters",
    "requirements/dev.txt",
    "runtime",
    "templates",
)
"""The sources that decide what a build writes."""


@dataclass(frozen=True, kw_only=True)
class Project:
    """What is built, and where a checkout keeps it."""

    root: Path
    dist: Path
    compile_pages: Callable[[], Iterable[Page]]
    """Every template, a nested one before those that nest it."""
    assets: Callable[[], Mapping[str, AssetFile]]

    @property
    def templates(self) -> Path:
        """The infrastructure, one page a stack."""
        return self.root / "templates"

    def inputs(self) -> str:
        """Return one digest over everything that decides what a build writes."""
        files: list[Path] = []
        for name in INPUTS:
            path = self.root / name
            files += sources(path) if path.is_dir() else [path]
        return output.inputs_digest(self.root, files)


def build(project: Project) -> bool:
    """Bring ``dist/`` up to date; return whether anything had to be written."""
    with output.exclusive(project.dist), output.staged(project.dist) as stage:
        inputs = project.inputs()
        if output.is_made_from(project.dist, inputs):
            return False
        # Its workers take a second to wake up, and meanwhile the pages compile.
        with lint.CfnLint() as cfn_lint:
            pages = compiled(project)
            templates = {page.path: (page.document, page.text()) for page in pages}
            _stop_at(quotas.over_quota(templates))
            files = {path: text.encode() for path, (_, text) in templates.items()}
            files |= {asset.path: asset.content for asset in project.assets().values()}
            output.write(stage, files, inputs)
            tasks = [
                lint.Task(template=path, weight=len(text))
                for path, (_, text) in templates.items()
            ]
            found = lint.validate(stage, tasks) + cfn_lint.run(stage, tasks)
            _stop_at(lint.problems(found, project.templates))
        output.exchange(stage, project.dist)
    return True


def compiled(project: Project) -> list[Page]:
    """Compile every page; an error in one says where in ``templates/`` it arose."""
    try:
        return list(project.compile_pages())
    except Exception as error:
        line = _line_in(project.templates, error)
        if not line:
            raise
        raise Failure([_problem(error, line)]) from error


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


def _problem(error: Exception, line: str) -> Problem:
    from compiler.wiring import WiringError

    if isinstance(error, WiringError):
        return Problem(
            where=f"{error.where} ({line})",
            what=f"{error.what}.",
            remedy=f"{error.remedy}{'' if error.remedy.endswith(('.', '?')) else '.'}",
        )
    return Problem(
        where=line,
        what=f"{type(error).__name__}: {error}",
        remedy="Correct this line.",
    )


def _stop_at(problems: list[Problem]) -> None:
    if problems:
        raise Failure(problems)
