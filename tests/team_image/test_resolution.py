"""What uv says of packages that do not go together, as an error with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.errors import Unable
from team_image import resolution
from team_image.folder import ImageFolder

NONE = "error: No solution found when resolving dependencies\n  cause: Because "


@pytest.mark.parametrize(
    ("line", "output", "words"),
    [
        (
            "requests==2.0.0",
            NONE + "you require requests==2.0.0 and requests==2.34.2, we can conclude",
            (
                "requests==2.0.0 does not go with Airflow 3.3.2, which has "
                "requests==2.34.2."
            ),
        ),
        (
            "dbt-core==1.5.0",
            NONE + "dbt-core==1.5.0 depends on cffi>=1.9,<2.0.0 and cffi==2.1.1, we",
            (
                "dbt-core==1.5.0 does not go with Airflow 3.3.2, which has "
                "cffi==2.1.1, and it needs cffi>=1.9,<2.0.0."
            ),
        ),
        (
            "Great_Expectations==0.13",
            NONE + "great-expectations==0.13 depends on requests>=2.20,<2.24 and "
            "apache-airflow-core==3.3.2 depends on requests==2.34.2, we can conclude",
            (
                "great-expectations==0.13 does not go with Airflow 3.3.2, which has "
                "requests==2.34.2, and it needs requests>=2.20,<2.24."
            ),
        ),
        (
            "no-such-package",
            NONE + "no-such-package was not found in the package registry and you",
            "The package index has no package no-such-package.",
        ),
        (
            "cowsay==99",
            NONE + "there is no version of cowsay==99 and you require cowsay==99, we",
            "The package index has no cowsay==99.",
        ),
        (
            "foo bar",
            (
                "error: Couldn't parse requirement in `r.txt` at position 8\n"
                "  cause: Expected one of `@`, found `b`\n"
            ),
            "foo bar is no requirement of a Python package.",
        ),
    ],
)
def test_both_packages_and_the_line_are_named(
    line: str, output: str, words: str, tmp_path: Path
) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text(f"# first\n\n{line}\n")
    image = ImageFolder.of(tmp_path, file)
    (problem,) = resolution._failure(image, f"\n\n{line}", output).problems
    assert problem.what == words
    assert problem.where == f"{file}:3"
    assert problem.remedy


def test_index_that_does_not_answer_is_no_mistake_of_the_file(tmp_path: Path) -> None:
    output = "error: Failed to fetch: `https://example.com/simple/cowsay/`\n"
    image = ImageFolder.of(tmp_path)
    assert isinstance(resolution._failure(image, "", output), Unable)
