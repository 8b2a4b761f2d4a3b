"""Both linters over the whole product, and what we answer them."""

from __future__ import annotations

import pytest

from cli import product
from compiler import lint, parameters, pipeline
from compiler.lint import LintException, LintFinding
from templates.lint_exceptions import EXCEPTIONS

pytestmark = pytest.mark.slow

ROOT = product.ROOT
ENVIRONMENTS = [
    parameters.load(path)
    for path in parameters.environments(ROOT / "parameters").values()
]


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> list[LintFinding]:
    """Everything that both linters say, before any exception."""
    stage = tmp_path_factory.mktemp("stage")
    files = {page.path: page.text() for page in product.compile_templates()}
    for path, text in files.items():
        (stage / path).write_text(text)
    tasks = list(pipeline.lint_tasks(files, ENVIRONMENTS, product.ROOT_TEMPLATE))
    with lint.CfnLint() as cfn_lint:
        return cfn_lint.run(stage, tasks) + lint.validate(stage, tasks)


def test_linters_report_nothing_that_is_not_answered(
    findings: list[LintFinding],
) -> None:
    assert lint.problems(findings, EXCEPTIONS, ROOT / "templates") == []


@pytest.mark.parametrize("exception", EXCEPTIONS, ids=lambda e: f"{e.rule} {e.place}")
def test_every_exception_answers_something(
    exception: LintException, findings: list[LintFinding]
) -> None:
    # An exception that outlives its cause hides the next mistake of that kind.
    assert any(exception.excuses(finding) for finding in findings)
