"""The operator's options and variables, as a container's start applies them."""

from __future__ import annotations

import json
from configparser import ConfigParser
from pathlib import Path

import pytest

from fargate_runtime.operator_settings import set_variables, write_options


def options(environ: dict[str, str], tmp_path: Path) -> dict[str, str]:
    path = tmp_path / "airflow.cfg"
    write_options({"AIRFLOW_CONFIG": str(path), **environ})
    assert [path] == list(tmp_path.glob("airflow.cfg*"))
    parser = ConfigParser()  # as Airflow reads it
    parser.read(path)
    return {
        f"{section}.{name}": value
        for section in parser.sections()
        for name, value in parser.items(section)
    }


SETTINGS = json.dumps(
    {
        "core.x": "all",
        "common.io.y": "50% # = :",
        "worker": {"core.x": "workers", "core.z": "1"},
        "pool spot": {"core.x": "spot"},
        "api-server": {"core.x": "api"},
    }
)


@pytest.mark.parametrize(
    ("environ", "x"),
    [
        ({"COMPONENT": "scheduler"}, "all"),
        ({"COMPONENT": "worker", "WORKER_POOL": "default"}, "workers"),
        ({"COMPONENT": "worker", "WORKER_POOL": "spot"}, "spot"),
    ],
)
def test_options_of_a_pool_replace_those_of_its_component_and_those_of_all(
    environ: dict[str, str], x: str, tmp_path: Path
) -> None:
    settings = options({"AIRFLOW_OPTIONS": SETTINGS, **environ}, tmp_path)
    assert settings["core.x"] == x
    assert settings["common.io.y"] == "50% # = :"
    assert ("core.z" in settings) == (environ["COMPONENT"] == "worker")


def test_options_replace_defaults_which_replace_the_images_file(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "airflow.cfg").write_text("[core]\na = image\nb = 5%%\nc = image\n")
    settings = options(
        {
            "AIRFLOW_HOME": str(home),
            "DEFAULT_OPTIONS": '{"core.a": "default", "core.c": "default"}',
            "AIRFLOW_OPTIONS": '{"core.c": "operator"}',
        },
        tmp_path,
    )
    assert settings == {"core.a": "default", "core.b": "5%", "core.c": "operator"}


def test_variables_of_the_task_definition_stay() -> None:
    environ = {"OPERATOR_VARIABLES": '{"A": "1", "B": "2"}', "A": "0"}
    set_variables(environ)
    assert environ["A"] == "0"
    assert environ["B"] == "2"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "AIRFLOW_OPTIONS is not JSON"),
        ("[]", "AIRFLOW_OPTIONS is not an object"),
        ('{"core.x": 1}', "the value of core.x is no text"),
        ('{"x": "1"}', "'x' is not section.option"),
    ],
)
def test_options_that_cannot_be_read_end_the_start(
    text: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=words):
        options({"AIRFLOW_OPTIONS": text}, tmp_path)
