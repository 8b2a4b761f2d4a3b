"""The source of a build: the same files, the same archive; no secret in a layer."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

from team_image.folder import ImageFolder
from team_image.source import dockerfile, image_source
from tests.team_image.test_folder import project


def tag(folder: Path, base: str = "airflow:1", architecture: str = "ARM64") -> str:
    return image_source(ImageFolder.of(folder), base, architecture).tag


def test_tag_follows_from_everything_that_is_built(tmp_path: Path) -> None:
    first = tag(project(tmp_path, requirements_txt="cowsay\n"))
    os.utime(tmp_path / "image" / "requirements.txt", (1, 1))
    assert tag(tmp_path) == first
    assert tag(project(tmp_path, requirements_txt="# say\ncowsay\n")) == first
    others = {
        tag(tmp_path, base="airflow:2"),
        tag(tmp_path, architecture="X86_64"),
        tag(project(tmp_path, requirements_txt="cowsay==6\n")),
        tag(project(tmp_path, packages_txt="curl\n")),
    }
    assert len(others | {first}) == 5


def test_empty_folder_builds_the_stock_image(tmp_path: Path) -> None:
    text = dockerfile(ImageFolder.of(tmp_path))
    assert text == "ARG AIRFLOW_IMAGE\nFROM ${AIRFLOW_IMAGE}\n"


def test_packages_are_installed_with_the_constraints_of_airflow(
    tmp_path: Path,
) -> None:
    text = dockerfile(ImageFolder.of(project(tmp_path, requirements_txt="cowsay\n")))
    assert '--constraint "${HOME}/constraints.txt"' in text
    assert '"apache-airflow==${AIRFLOW_VERSION}"' in text
    # The index is a mounted secret: an argument would stay in the image's history.
    assert "--mount=type=secret,id=index" in text
    assert "ARG INDEX" not in text
    # pip runs as the user that owns Airflow's packages.
    assert "USER root" not in text


def test_own_dockerfile_is_built_with_the_whole_folder(tmp_path: Path) -> None:
    own = "ARG AIRFLOW_IMAGE\nFROM ${AIRFLOW_IMAGE}\nCOPY certificate.pem /\n"
    project(tmp_path, Dockerfile=own)
    (tmp_path / "image" / "certificate.pem").touch()
    archive = image_source(ImageFolder.of(tmp_path), "airflow:1", "X86_64").archive
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        assert sorted(files.namelist()) == ["Dockerfile", "certificate.pem"]
        assert files.read("Dockerfile").decode() == own
