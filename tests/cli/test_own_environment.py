"""The project's own environment repairs itself, and nothing else."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from cli import own_environment, product
from cli.errors import Unable


class Continued(Exception):  # noqa: N818 - the process would be replaced
    """The command would start again."""


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an environment that runs this, with one package and a fake installer."""
    record = tmp_path / ".venv/lib/python3/site-packages/x-1.dist-info/RECORD"
    record.parent.mkdir(parents=True)
    record.write_text("helper/__init__.py,,\n")
    (tmp_path / ".venv/.installed").write_text("x")
    installed: list[str] = []

    def go_on(_environment: Path) -> None:
        raise Continued(json.dumps(installed))

    monkeypatch.setattr(own_environment, "HOME", tmp_path)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    monkeypatch.setattr(
        own_environment, "_install", lambda folder: installed.append(folder.name)
    )
    monkeypatch.setattr(own_environment, "_continue_in", go_on)
    monkeypatch.delenv(own_environment.REPAIRED, raising=False)
    return tmp_path / ".venv"


@pytest.mark.parametrize("name", ["rich", "boto3.session", "helper", "helper.part"])
def test_missing_package_is_installed_again_and_the_command_continues(
    name: str, environment: Path
) -> None:
    """It was an endless loop: the installer trusted its stamp."""
    with pytest.raises(Continued, match=r"\.venv"):
        own_environment.repair(
            ModuleNotFoundError(f"No module named {name}", name=name)
        )
    assert not (environment / ".installed").exists()


@pytest.mark.parametrize("content", ["garbage", "import nothing_of_that_name"])
def test_damaged_file_of_a_package_is_installed_again(
    content: str, environment: Path
) -> None:
    file = environment / "lib/python3/site-packages/helper.py"
    with pytest.raises(Exception) as caught:  # noqa: PT011 - of two types
        exec(compile(content, str(file), "exec"))  # noqa: S102 - as an import would
    with pytest.raises(Continued):
        own_environment.repair(caught.value)


def test_package_that_is_missing_again_is_reported(
    environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert environment.exists()
    monkeypatch.setenv(own_environment.REPAIRED, "1")
    with pytest.raises(SystemExit) as end:
        own_environment.repair(ModuleNotFoundError("No module", name="rich"))
    assert end.value.code == 3


@pytest.mark.parametrize(
    "error",
    [
        ModuleNotFoundError("No module named 'deploy'", name="deploy"),
        ModuleNotFoundError("No module named 'elsewhere'", name="elsewhere"),
        ImportError("no name"),
        SyntaxError("wrong", ("/elsewhere.py", 1, 1, "x")),
        KeyError("rich"),
    ],
    ids=str,
)
def test_another_error_leaves_the_environment_alone(
    error: Exception, environment: Path
) -> None:
    own_environment.repair(error)
    assert (environment / ".installed").exists()


def test_linked_environment_of_another_checkout_is_left_alone(
    environment: Path, tmp_path: Path
) -> None:
    environment.rename(tmp_path / "elsewhere")
    environment.symlink_to(tmp_path / "elsewhere")
    own_environment.repair(ModuleNotFoundError("No module", name="rich"))
    assert (environment / ".installed").exists()


def test_missing_module_of_the_checkout_is_named_with_its_remedy() -> None:
    error = ModuleNotFoundError("No module named 'templates.x'", name="templates.x")
    problem = own_environment.unexpected(error)
    assert "templates.x" in problem.what
    assert "git restore" in problem.remedy


def test_damaged_file_of_the_version_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(product, "ROOT", tmp_path)
    product.version.cache_clear()
    (tmp_path / "pyproject.toml").write_text("x")
    with pytest.raises(Unable, match=r"pyproject\.toml"):
        product.version()
