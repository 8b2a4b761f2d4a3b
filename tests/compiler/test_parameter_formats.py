"""Each environment in the shapes of other tools: no value lost, none reread."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from compiler.parameter_formats import formats
from compiler.parameters import EnvironmentFile, MalformedFileError, load
from compiler.validation import validate

yaml: Any = importlib.import_module("yaml")  # it comes with cfn-lint, without types

PRINTABLE = st.text(st.characters(codec="utf-8")).filter(str.isprintable)
TREACHEROUS = (
    *("true", "no", "on", "y", "null", "~", "0123", "1e3", "1_000", "0x1F", "12:30:45"),
    *("=", "<<", "", " ", "- a", "a: b", "# x", "'", '"', "\\", "*x", "&x", "!x", "%x"),
    *("2026-01-01", "é😀", ".inf", "|", ">", "{", "[", "@", "`", "?"),
)
TEXTS = PRINTABLE | st.sampled_from(TREACHEROUS)
NAMES = st.text(st.sampled_from("AbYyesNo019"), min_size=1) | st.sampled_from(
    ["Yes", "No", "On", "1e3", "Null"]
)


def environment(
    parameters: dict[str, str], tags: dict[str, str] | None = None, **more: Any
) -> EnvironmentFile:
    return EnvironmentFile(
        name="dev",
        source="parameters/dev.json",
        parameters=MappingProxyType(parameters),
        tags=MappingProxyType(tags or {}),
        **more,
    )


def read(files: dict[str, str], name: str) -> Any:
    text = files[f"parameters/dev/{name}"]
    return yaml.safe_load(text) if name.endswith("yaml") else json.loads(text)


def pairs(entries: list[dict[str, str]], key: str, value: str) -> dict[str, str]:
    assert all(pair.keys() == {key, value} for pair in entries)
    assert len({pair[key] for pair in entries}) == len(entries)
    return {pair[key]: pair[value] for pair in entries}


@given(
    st.dictionaries(NAMES, TEXTS),
    st.dictionaries(TEXTS, TEXTS),
    TEXTS.filter(bool),
)
@example(dict.fromkeys(TREACHEROUS, "x") | {"A": "true"}, {"y": "no"}, "a b.json")
def test_every_format_round_trips_every_value(
    parameters: dict[str, str], tags: dict[str, str], path: str
) -> None:
    files = formats(environment(parameters, tags), root_template=path)

    listed = pairs(read(files, "cli.json"), "ParameterKey", "ParameterValue")
    assert listed == parameters
    assert pairs(read(files, "tags.json"), "Key", "Value") == tags
    assert pairs(read(files, "service-catalog.json"), "Key", "Value") == parameters
    assert read(files, "codepipeline.json") == {"Parameters": parameters, "Tags": tags}
    assert read(files, "git-sync.yaml") == {
        "template-file-path": f"published/{path}",
        "parameters": parameters,
        "tags": tags,
    }


@given(st.dictionaries(st.sampled_from("ABC"), TEXTS, min_size=1))
def test_accepted_values_round_trip_through_files(
    tmp_path_factory: pytest.TempPathFactory, parameters: dict[str, str]
) -> None:
    template = {"Parameters": {name: {"Type": "String"} for name in parameters}}
    path = tmp_path_factory.mktemp("parameters") / "dev.json"
    path.write_text(json.dumps({"Parameters": parameters}))
    environment_file = load(path)
    assert validate(environment_file, template).problems == ()

    files = formats(environment_file, root_template="parent.template.json")
    path.write_text(files["parameters/dev/codepipeline.json"])

    assert load(path).parameters == environment_file.parameters == parameters


def test_same_file_gives_the_same_bytes() -> None:
    files = formats(environment({"B": "2", "A": "1"}, {"t": "x"}), root_template="p")

    assert files == formats(
        environment({"B": "2", "A": "1"}, {"t": "x"}), root_template="p"
    )
    assert files["parameters/dev/git-sync.yaml"].splitlines()[2:] == [
        'template-file-path: "published/p"',
        "parameters:",
        '  "B": "2"',
        '  "A": "1"',
        "tags:",
        '  "t": "x"',
    ]
    assert all(text.endswith("\n") and "\r" not in text for text in files.values())


def test_only_codepipeline_has_the_stack_policy() -> None:
    policy = {"Statement": [{"Effect": "Deny", "Action": "Update:Delete"}]}
    files = formats(environment({}, stack_policy=policy), root_template="p")

    assert read(files, "codepipeline.json")["StackPolicy"] == policy
    assert "StackPolicy" not in read(
        formats(environment({}), root_template="p"), "codepipeline.json"
    )


def test_an_environment_with_problems_has_no_formats(tmp_path: Path) -> None:
    path = tmp_path / "dev.json"
    path.write_text('{"Parameters": {"A": 1}}')

    with pytest.raises(MalformedFileError, match="the number 1, not a string"):
        formats(load(path), root_template="p")
