"""Reading a parameter file: everything that can be wrong with it, said at once."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cli.errors import ExitCode
from compiler.parameters import (
    EnvironmentFile,
    MalformedFileError,
    ParameterFileError,
    UnknownEnvironmentError,
    UnreadableFileError,
    environments,
    find,
    load,
    misnamed,
)

STATEMENT = {
    "Effect": "Deny",
    "Action": ["Update:Replace", "Update:Delete"],
    "Principal": "*",
    "Resource": "LogicalResourceId/Database",
}
POLICY = {"Statement": [STATEMENT]}

Read = Callable[[str | bytes], EnvironmentFile]


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Read:
    """Read a file called parameters/dev.json with this content."""
    monkeypatch.chdir(tmp_path)
    Path("parameters").mkdir()

    def read_it(content: str | bytes) -> EnvironmentFile:
        raw = content if isinstance(content, bytes) else content.encode()
        Path("parameters/dev.json").write_bytes(raw)
        return load(Path("parameters/dev.json"))

    return read_it


def said(environment: EnvironmentFile) -> list[str]:
    return [str(problem) for problem in environment.problems]


def test_a_file_becomes_an_environment_with_the_line_of_each_parameter(
    read: Read,
) -> None:
    environment = read(
        '{\n "Parameters": {\n  "B": "1",\n  "A": ""\n },\n'
        ' "Tags": {"team": "data"},\n'
        f' "StackPolicy": {json.dumps(POLICY)}\n}}'
    )

    assert environment.problems == ()
    assert environment.name == "dev"
    assert list(environment.parameters.items()) == [("B", "1"), ("A", "")]
    assert environment.tags == {"team": "data"}
    assert environment.stack_policy == POLICY
    assert environment.lines == {"B": 3, "A": 4}
    assert environment.where("A") == "parameters/dev.json:4 A"


def test_an_object_becomes_json_with_texts_before_objects(read: Read) -> None:
    environment = read(
        '{"Parameters": {"A": {"worker": {"X": "ü"}, "Y": "1", "pool spot": {}}}}'
    )

    assert environment.problems == ()
    assert environment.objects == {"A"}
    text = '{"Y":"1","worker":{"X":"ü"},"pool spot":{}}'
    assert environment.parameters == {"A": text}


def test_an_environment_cannot_be_changed_after_it_was_checked(read: Read) -> None:
    environment = read('{"Parameters": {"A": "1"}}')

    with pytest.raises(TypeError):
        environment.parameters["A"] = "2"  # type: ignore[index]


def test_all_problems_are_reported_at_once(read: Read) -> None:
    environment = read(
        """{
        "Parameters": {
            "Number": 12,
            "Switch": true,
            "Nothing": null,
            "List": ["a", 1],
            "Object": {"a": {"b": {}}},
            "Twice": "1",
            "Twice": "2",
            "Pasted": "10.0.0.0/16\\u00a0"
        },
        "Tags": {"aws:x": "1", "Airflow:Pool": "x", "Empty": "", "Odd": "a;b"},
        "tags": {},
        "Stray": "1"
    }"""
    )

    messages = said(environment)
    for line, name, words in (
        (3, "Number", "is the number 12, not a string. CloudFormation takes every"),
        (3, "Number", 'Write "12".'),
        (4, "Switch", "Its value is true, not a string."),
        (5, "Nothing", 'Write "" for an empty value, or delete the line'),
        (6, "List", 'Write "a,1".'),
        (7, "Object a b", "Its value is an object, not a string."),
        (9, "Twice", "is duplicated. It is on line 8 already"),
        (10, "Pasted", "holds U+00A0, which is invisible."),
        (12, "Tags", "Names that begin with aws: belong to AWS."),
        (12, "Tags", "Names that begin with airflow: belong to the templates"),
        (12, "Tags", "CloudFormation takes no empty value."),
        (12, "Tags", "IAM takes letters, digits, spaces"),
        (13, "", '"tags" is no section of a parameter file.'),
        (13, "", "Did you mean Tags?"),
        (14, "", 'Move it into "Parameters".'),
    ):
        where = f"parameters/dev.json:{line} {name}".rstrip() + ": "
        assert [
            message
            for message in messages
            if message.startswith(where) and words in message
        ], words
    assert environment.parameters == {"Object": '{"a":{}}', "Twice": "1"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"Parameters": {"A": "1",}}', "parameters/dev.json:1:25: A comma stands"),
        ("", "parameters/dev.json:1:1: The file is empty."),
        (
            '[{"ParameterKey": "A", "ParameterValue": "1"}]',
            "The build converts it to the lists that other tools take.",
        ),
        ('"A"', "The file holds a string, not an object."),
    ],
)
def test_malformed_file_is_refused(read: Read, content: str, words: str) -> None:
    with pytest.raises(MalformedFileError) as caught:
        read(content)

    assert words in str(caught.value)
    assert caught.value.exit_code is ExitCode.FAILED


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"Tags": {}}', 'The file has no "Parameters".'),
        ('{"Parameters": []}', '"Parameters" is a list, not an object.'),
        ('{"Parameters": {}, "Tags": "x"}', '"Tags" is a string, not an object.'),
        ('{"Parameters": {}, "StackPolicy": {}}', "It is no stack policy"),
        *(
            (
                json.dumps(
                    {
                        "Parameters": {},
                        "StackPolicy": {"Statement": [{**STATEMENT, **change}]},
                    }
                ),
                what,
            )
            for change, what in (
                ({"Effect": "Permit"}, "neither Allow nor Deny"),
                ({"Principal": "me"}, "Principal is not *"),
                ({"Action": "Update:Create"}, "Action cannot be used"),
                ({"Action": []}, "Action cannot be used"),
                ({"NotAction": "Update:*"}, "not one of Action and NotAction"),
                ({"Resource": "Database"}, "Resource cannot be used"),
                ({"Effects": "Deny"}, 'no "Effects"'),
                ({"Condition": {"StringEquals": {"x": "y"}}}, "Condition cannot"),
            )
        ),
        ('{"Parameters": {}, "StackPolicy": {"Statement": "x"}}', "is an object"),
        ('{"Parameters": {}, "StackPolicy": {"Statement": []}}', "deny every update"),
        (
            '{"Parameters": {}, "StackPolicy": {"Statement": [{"Deny": true}]}}',
            "true is no part of a stack policy.",
        ),
        (
            json.dumps(
                {"Parameters": {}, "StackPolicy": {"Statement": ["x" * 16_384]}}
            ),
            "CloudFormation takes 16,384.",
        ),
        (
            json.dumps({"Parameters": {}, "Tags": {f"t{i}": "x" for i in range(50)}}),
            "There are 50 tags. 49 fit",
        ),
        (
            json.dumps({"Parameters": {}, "Tags": {"Team": "x", "team": "x"}}),
            "IAM does not tell names apart that differ in case only.",
        ),
        (
            json.dumps({"Parameters": {}, "Tags": {"": "x"}}),
            "A tag has a name.",
        ),
        (
            json.dumps({"Parameters": {}, "Tags": {"x" * 129: "y" * 257}}),
            "A value has 256 characters at most; this has 257.",
        ),
    ],
)
def test_a_section_of_the_wrong_shape_is_named(
    read: Read, content: str, words: str
) -> None:
    assert any(words in message for message in said(read(content)))


def test_byte_order_mark_is_accepted(read: Read) -> None:
    assert read(b'\xef\xbb\xbf{"Parameters": {"A": "1"}}').parameters == {"A": "1"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"Parameters": {}}'.encode("utf-16"), "UTF-16, as PowerShell's > writes it."),
        (b'{"Parameters":\n{"A": "\xe9"}}', "Line 2 is not UTF-8."),
        (b" " * 1_000_001, "larger than 1,000,000 bytes."),
    ],
)
def test_undecodable_bytes_are_refused(read: Read, content: bytes, words: str) -> None:
    with pytest.raises(UnreadableFileError) as caught:
        read(content)

    assert words in str(caught.value)


def test_unreadable_file_has_exit_code_unable(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    for path, why in (
        (tmp_path / "none.json", "No such file or directory"),
        (tmp_path, "it is a folder or a device, not a file"),
        (tmp_path / "pipe.json", "it is a folder or a device, not a file"),
        (Path("nul\0byte"), "embedded null byte"),
    ):
        with pytest.raises(UnreadableFileError) as caught:
            load(path)
        assert why in str(caught.value)
        assert caught.value.exit_code is ExitCode.UNABLE


def test_unknown_environment_names_the_nearest(tmp_path: Path) -> None:
    for name in ("dev", "staging", "prod"):
        (tmp_path / f"{name}.json").touch()
    (tmp_path / "notes.md").touch()

    assert list(environments(tmp_path)) == ["dev", "prod", "staging"]
    assert find(tmp_path, "prod") == tmp_path / "prod.json"
    with pytest.raises(UnknownEnvironmentError) as caught:
        find(tmp_path, "Prd")
    assert 'There is no environment "Prd".' in str(caught.value)
    assert "Known: dev, prod, staging." in str(caught.value)
    assert "Did you mean prod?" in str(caught.value)
    assert caught.value.exit_code is ExitCode.USAGE


def test_environment_name_is_never_a_path(tmp_path: Path) -> None:
    (tmp_path / "secret.json").touch()
    (tmp_path / "parameters").mkdir()

    for name in ("../secret", str(tmp_path / "secret"), ""):
        with pytest.raises(UnknownEnvironmentError):
            find(tmp_path / "parameters", name)


def test_file_name_that_is_no_environment_name_is_refused(tmp_path: Path) -> None:
    names = ("my prod", "my_env", "eu.west", "Prüf", "-dev", "x" * 113)
    for name in ("dev", ".hidden", *names):
        (tmp_path / f"{name}.json").touch()

    assert list(environments(tmp_path)) == ["dev"]
    assert len(misnamed(tmp_path)) == len(names)
    with pytest.raises(MalformedFileError, match='"my prod" is no name'):
        find(tmp_path, "my prod")


@pytest.mark.parametrize(
    ("member", "value", "is_right"),
    [
        ("Account", "111122223333", True),
        ("Account", "1111-2222-3333", False),
        ("Region", "us-gov-west-1", True),
        ("Region", "us-east-1a", False),
        ("Region", "US-EAST-1", False),
        ("StackName", "airflow", True),
        ("StackName", "my_stack", False),
        ("Profile", "prod", True),
        ("Profile", "", False),
        ("Acount", "111122223333", False),
    ],
)
def test_target_of_an_environment(
    member: str, value: str, *, is_right: bool, tmp_path: Path
) -> None:
    file = tmp_path / "dev.json"
    file.write_text(json.dumps({"Parameters": {}, "Target": {member: value}}))
    environment = load(file)
    assert environment.target == ({member: value} if is_right else None)
    assert bool(environment.problems) != is_right


def test_a_folder_that_is_missing_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError):
        find(tmp_path / "none", "dev")


STRINGS = st.text(st.characters(codec=None)) | st.sampled_from(["\ud800", "\u2028"])
JSON = st.recursive(
    STRINGS | st.none() | st.booleans() | st.integers() | st.floats(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            STRINGS
            | st.sampled_from(["Parameters", "Tags", "StackPolicy", "Statement"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@given(st.binary() | st.text().map(str.encode) | JSON.map(json.dumps).map(str.encode))
@example(b"9" * 5000)
@example(b'{"Parameters": {"A": ' + b"9" * 5000 + b"}}")
@example(b'{"Parameters": {"\\ud800": "\\udfff"}}')
@example(b'{"Parameters": {}, "StackPolicy": {"Statement": "\\ud800"}}')
@example(b'{"Parameters": {}, "StackPolicy": {"Statement": {"\\ud800": ""}}}')
def test_reading_returns_an_environment_or_raises_a_failure(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / f"any-{os.getpid()}.json"
    path.write_bytes(content)

    try:
        environment = load(path)
    except ParameterFileError as error:
        text = str(error)
    else:
        text = "\n".join(said(environment))
        assert environment.parameters.keys() <= environment.lines.keys()
    text.encode()  # a message can always be printed
