"""Both linters over the whole product, and the exceptions from their rules."""

from __future__ import annotations

import pytest

from cli import product
from compiler import lint, parameters, pipeline
from compiler.lint import LintFinding, LintTask
from templates.lint_exceptions import EXCEPTIONS

pytestmark = pytest.mark.slow

ROOT = product.ROOT
ENVIRONMENTS = [
    parameters.load(path)
    for path in parameters.environments(ROOT / "parameters").values()
]


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> list[LintFinding]:
    """All findings of both linters, before any exception."""
    stage = tmp_path_factory.mktemp("stage")
    files = {template.path: template.text() for template in product.compile_templates()}
    for path, text in files.items():
        (stage / path).write_text(text)
    tasks = list(pipeline.lint_tasks(files))
    tasks.append(
        LintTask(
            template=product.ROOT_TEMPLATE,
            environments={e.name: e.parameters for e in ENVIRONMENTS},
            weight=len(files[product.ROOT_TEMPLATE]),
        )
    )
    with lint.CfnLint() as cfn_lint:
        return cfn_lint.run(stage, tasks) + lint.validate(stage, tasks)


def test_exceptions_answer_every_finding_and_none_is_unused(
    findings: list[LintFinding],
) -> None:
    # One test: each process of a parallel run would lint the product again.
    assert lint.problems(findings, EXCEPTIONS, ROOT / "templates") == []
    # An exception that outlives its cause hides the next mistake of that kind.
    unused = [e for e in EXCEPTIONS if not any(map(e.excuses, findings))]
    assert unused == []
