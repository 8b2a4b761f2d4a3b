"""Worker pools are data: a pool is an entry of ``pools.json`` and no line of source."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cli import product
from cli.errors import Failure
from compiler.wiring import Build, WiringError
from templates import parent
from templates.airflow.pools import FILE, POOLS, Pool, read_pools

DEFAULT = {"Name": "default", "Queue": "default"}
HEAVY: dict[str, Any] = {"Name": "heavy", "Queue": "reports.heavy"}
SIZE = {"Cpu": 8192, "Memory": "32768", "Minimum": 0, "FallbackMinimum": 0}

BUILD = """
from cli import product
from compiler import pipeline
print(pipeline.build(product.project()))
"""


def pools(folder: Path, *entries: object) -> tuple[Pool, ...]:
    path = folder / "pools.json"
    path.write_text(json.dumps(entries))
    return read_pools(path)


def parameters(table: tuple[Pool, ...]) -> dict[str, Any]:
    document = Build(product.assets()).root(parent.define_with(table)).document
    return dict(document["Parameters"])


def test_the_shipped_pools_are_default_and_spot() -> None:
    assert [(pool.name, pool.queue) for pool in POOLS] == [
        ("default", "default"),
        ("spot", "spot"),
    ]


def test_a_setting_of_an_entry_is_the_default_of_its_parameter(tmp_path: Path) -> None:
    heavy = parameters(pools(tmp_path, DEFAULT, HEAVY | SIZE))
    defaults = {
        name.removeprefix("HeavyWorkers"): definition["Default"]
        for name, definition in heavy.items()
        if name.startswith("HeavyWorkers")
    }
    assert {name: defaults[name] for name in SIZE} == SIZE | {
        "Memory": 32768,
        "FallbackMinimum": "0",
    }
    assert defaults["Concurrency"] == 8


def test_settings_that_are_not_listed_are_no_parameters(tmp_path: Path) -> None:
    entry = HEAVY | SIZE | {"Parameters": ["Maximum", "Minimum"]}
    (_, heavy) = pools(tmp_path, DEFAULT, entry)
    names = {name for name in parameters((heavy,)) if "HeavyWorkers" in name}
    assert names == {"HeavyWorkersMaximum", "HeavyWorkersMinimum"}
    assert heavy.defaults == {"minimum": 0}
    assert (heavy.fixed["cpu"], heavy.fixed["memory"]) == (8192, 32768)


def test_fifty_pools_of_data_compile(tmp_path: Path) -> None:
    many = [
        {"Name": f"p{number}", "Queue": f"q{number}", "Parameters": ["Maximum"]}
        for number in range(49)
    ]
    definitions = parameters(pools(tmp_path, DEFAULT, *many))
    assert {f"P{number}WorkersMaximum" for number in range(49)} <= definitions.keys()


def test_too_many_parameters_are_refused_with_a_remedy(tmp_path: Path) -> None:
    many = [{"Name": f"p{number}", "Queue": f"q{number}"} for number in range(9)]
    with pytest.raises(WiringError, match=r'"Parameters": \["Minimum", "Maximum"\]'):
        parameters(pools(tmp_path, DEFAULT, *many))


@pytest.mark.parametrize(
    ("entries", "what"),
    [
        ([], "no list of pools"),
        ([DEFAULT, "spot"], "no object"),
        ([DEFAULT, {"Name": "a"}], "no Queue"),
        ([DEFAULT, {"Queue": "a"}], "no Name"),
        ([DEFAULT, HEAVY | {"Nam": "a"}], 'no setting "Nam"'),
        ([DEFAULT, HEAVY | {"Minimun": 0}], 'no setting "Minimun"'),
        ([DEFAULT, HEAVY | {"Cpu": None}], "value of Cpu"),
        ([DEFAULT, HEAVY | {"Cpu": [1]}], "value of Cpu"),
        ([DEFAULT, HEAVY | {"Parameters": "Cpu"}], "Parameters is no list"),
        ([DEFAULT, HEAVY | {"Parameters": [1]}], "Parameters is no list"),
        ([DEFAULT, HEAVY | {"Parameters": ["Cpus"]}], 'no setting "Cpus"'),
        *(
            ([DEFAULT, HEAVY | {"Name": name}], "no name for a pool")
            for name in ("Heavy", "he-avy", "2heavy", "a b", "é", "x" * 31, "../a")
        ),
        ([DEFAULT, HEAVY | {"Name": "api"}], "cannot be called api"),
        ([DEFAULT, HEAVY, HEAVY | {"Queue": "x"}], '2 pools have the Name "heavy"'),
        ([DEFAULT, HEAVY, HEAVY | {"Name": "x"}], "2 pools have the Queue"),
        ([HEAVY, DEFAULT], 'first pool serves "reports.heavy"'),
    ],
)
def test_a_wrong_entry_is_named(
    tmp_path: Path, entries: list[object], what: str
) -> None:
    with pytest.raises(Failure) as caught:
        pools(tmp_path, *entries)
    assert any(
        what in problem.what and problem.remedy and problem.where.startswith(FILE.name)
        for problem in caught.value.problems
    ), caught.value.problems


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('[\n  {"Name": "a",}\n]', ":2:"),
        ("{}", ":1"),
        ('[\n{"Name": "a", "Name": "b", "Queue": "c"}]', ":2"),
        ("", ":1"),
    ],
)
def test_a_mistake_in_the_text_has_its_line(
    tmp_path: Path, text: str, where: str
) -> None:
    path = tmp_path / "pools.json"
    path.write_text(text)
    with pytest.raises(Failure) as caught:
        read_pools(path)
    assert where in caught.value.problems[0].where


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"pools\.json"):
        read_pools(tmp_path / "pools.json")


@pytest.mark.parametrize(
    "settings",
    [
        {"Cpu": 1000},
        {"Maximum": 0},
        {"Maximum": "many"},
        {"Queue": "a b"},
        {"SpotPercent": 101},
        {"ExtraPolicyArns": "*"},
    ],
)
def test_a_value_that_cloudformation_refuses_fails_the_build(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    table = pools(tmp_path, DEFAULT, HEAVY | settings)
    with pytest.raises(WiringError, match=r"heavy pool in pools\.json"):
        parent.define_with(table)


@pytest.mark.slow
def test_a_pool_is_added_by_data_alone(tmp_path: Path) -> None:
    project = tmp_path / "project"
    unwanted = shutil.ignore_patterns("__pycache__")
    for name in ("cli", "cloudformation", "team_image", *product.INPUTS):
        source, target = product.ROOT / name, project / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=unwanted, dirs_exist_ok=True)
        else:
            shutil.copyfile(source, target)
    entries = json.loads((project / FILE.name).read_text())
    (project / FILE.name).write_text(json.dumps([*entries, HEAVY | SIZE]))
    dev = project / "parameters" / "dev.json"
    document = json.loads(dev.read_text())
    document["Parameters"]["HeavyWorkersMaximum"] = "3"
    dev.write_text(json.dumps(document))

    built = subprocess.run(  # noqa: S603 - our own compiler and linter
        [sys.executable, "-c", BUILD],
        cwd=project,
        env={"PYTHONPATH": str(project), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert built.returncode == 0, built.stderr
    template = json.loads((project / "dist" / "parent.template.json").read_text())
    assert {"HeavyWorkers", "HeavyScaling"} <= template["Resources"].keys()
    assert {"HeavyWorkersTaskRoleArn", "HeavyWorkersSecurityGroupId"} <= (
        template["Outputs"].keys()
    )
