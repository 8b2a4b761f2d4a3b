"""The files of ``image/``, and the mistakes that are found without a package index."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.errors import Failure
from team_image.folder import ImageFolder


def project(folder: Path, **files: str) -> Path:
    """Return a project whose ``image/`` holds these files, a dot for ``_``."""
    for name, text in files.items():
        path = folder / "image" / name.replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_missing_files_and_comments_are_the_stock_image(tmp_path: Path) -> None:
    assert ImageFolder.of(tmp_path).is_stock()
    commented = project(tmp_path, requirements_txt="# none\n", packages_txt="\n")
    assert ImageFolder.of(commented).is_stock()


def test_what_a_team_adds_is_read(tmp_path: Path) -> None:
    team = project(
        tmp_path,
        requirements_txt="cowsay  # speaks\n\npandas>=3 ; python_version > '3'\n",
        packages_txt="libaio1t64\n",
    )
    plugins = team / "image" / "plugins"
    (plugins / "__pycache__").mkdir(parents=True)
    (plugins / "__pycache__" / "page.pyc").touch()
    (plugins / "page.py").touch()
    image = ImageFolder.of(team)
    assert not image.is_stock()
    assert image.requirement_lines() == [
        (1, "cowsay"),
        (3, "pandas>=3 ; python_version > '3'"),
    ]
    assert image.debian_packages() == ["libaio1t64"]
    assert list(image.plugin_files()) == ["page.py"]


@pytest.mark.parametrize(
    ("files", "place", "words"),
    [
        ({"requirements_txt": "a\n-r b.txt"}, "requirements.txt:2", "option of pip"),
        ({"requirements_txt": "?"}, "requirements.txt:1", "no requirement"),
        (
            {"requirements_txt": "apache_airflow[ssh]==3.2.0"},
            "requirements.txt:1",
            "would replace the Airflow",
        ),
        (
            {"requirements_txt": "apache-airflow-core @ https://example.com/a.whl"},
            "requirements.txt:1",
            "would replace the Airflow",
        ),
        ({"packages_txt": "curl; rm -rf /"}, "packages.txt:1", "no name of a Debian"),
        ({"Dockerfile": "FROM python:3.12\n"}, "Dockerfile", "an image of Airflow"),
        (
            {"Dockerfile": "FROM apache/airflow:3 AS one\nFROM python:3\n"},
            "Dockerfile",
            "an image of Airflow",
        ),
    ],
)
def test_mistakes_are_named_with_file_and_line(
    files: dict[str, str], place: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises(Failure) as failure:
        ImageFolder.of(project(tmp_path, **files))
    (problem,) = failure.value.problems
    assert problem.where.endswith(place)
    assert words in problem.what


@pytest.mark.parametrize(
    "text",
    [
        "ARG AIRFLOW_IMAGE\nFROM ${AIRFLOW_IMAGE}\nUSER root\n",
        "FROM --platform=linux/amd64 apache/airflow:3.3.2 as base\nFROM base\n",
    ],
)
def test_dockerfile_from_airflow_is_taken(text: str, tmp_path: Path) -> None:
    assert ImageFolder.of(project(tmp_path, Dockerfile=text)).dockerfile


@pytest.mark.parametrize("text", ["apache-airflow[ssh]", "apache-airflow"])
def test_extras_of_the_same_airflow_are_taken(text: str, tmp_path: Path) -> None:
    ImageFolder.of(project(tmp_path, requirements_txt=text))
