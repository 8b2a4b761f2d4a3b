"""The command ``connections``: what it prints, what it writes, and its exit codes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result
from moto import mock_aws

from cli import connections
from cli.deployment import CommandTarget, ProjectContext
from cli.errors import ExitCode
from deploy import prompts, stacks
from deploy.aws import Aws
from tests.deploy.fakes import REGION

PREFIX = "airflow-dev"
KEY = f"arn:aws:kms:{REGION}:123456789012:key/00000000-0000-4000-8000-000000000001"

FILE = """\
connections:
  warehouse: postgres  # of the team
  queue: aws
variables:
  region: text
  limits: json
"""

VALUES = {
    "connections": {
        "warehouse": "postgresql://me:hunter2@db/dwh",
        "queue": {"login": "me", "password": "hunter2"},
    },
    "variables": {"region": "hunter2", "limits": {"most": "hunter2"}},
}


class Shell:
    """Runs ``build.py connections dev``."""

    def __init__(self, folder: Path, aws: Aws) -> None:
        self.folder, self.aws = folder, aws
        self.parameters = {"SecretsPrefix": PREFIX}
        self._command = connections.command(
            ProjectContext(folder, lambda _region: ("", {}, dict))
        )

    def write(self, text: str) -> None:
        (self.folder / "connections").mkdir(exist_ok=True)
        (self.folder / "connections/dev.yaml").write_text(text)

    def run(self, *words: str, typed: str = "") -> Result:
        done = CliRunner().invoke(self._command, ["dev", *words], input=typed)
        assert "hunter2" not in done.output
        return done

    def values(self, document: object, *words: str) -> Result:
        return self.run("--values", "-", *words, typed=json.dumps(document))

    def secret(self, name: str) -> dict[str, Any]:
        client = self.aws.client("secretsmanager")
        name = f"{PREFIX}/{name}"
        text = client.get_secret_value(SecretId=name)["SecretString"]
        return {**client.describe_secret(SecretId=name), "Text": text}


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    with mock_aws():
        aws = Aws(region=REGION)
        shell = Shell(tmp_path, aws)
        stack = SimpleNamespace(outputs={"KeyArn": KEY}, parameters=shell.parameters)
        monkeypatch.setattr(connections, "ROOT", tmp_path)
        monkeypatch.setattr(CommandTarget, "aws", lambda _target: aws)
        monkeypatch.setattr(stacks, "existing", lambda _aws, _name: stack)
        shell.write(FILE)
        yield shell


def test_names_are_missing_present_or_not_in_the_file(shell: Shell) -> None:
    client = shell.aws.client("secretsmanager")
    for name in ("connections/warehouse", "variables/old", "other", "connections"):
        client.create_secret(Name=f"{PREFIX}/{name}", SecretString="hunter2")
    client.create_secret(Name=f"{PREFIX}-2/variables/region", SecretString="hunter2")

    shown = shell.run()
    assert shown.exit_code == ExitCode.FAILED
    lines = [" ".join(line.split()) for line in shown.output.splitlines()]
    assert lines[:6] == [
        "connections/warehouse (postgres) present",
        "+ connections/queue (aws) missing",
        "+ variables/region (text) missing",
        "+ variables/limits (json) missing",
        "? variables/old not in the file",
        f"3 missing, 1 present, 1 not in the file, below {PREFIX}/.",
    ]
    document = json.loads(shell.run("--json").stdout)
    assert document["Prefix"] == PREFIX
    assert document["Secrets"][4] == {
        "Path": "variables/old",
        "Kind": "",
        "Status": "not in the file",
    }


def test_values_are_written_with_the_key_and_tag_of_the_stack(shell: Shell) -> None:
    done = shell.values(VALUES)
    assert done.exit_code == ExitCode.OK, done.output
    warehouse = shell.secret("connections/warehouse")
    assert warehouse["Text"] == VALUES["connections"]["warehouse"]
    assert warehouse["KmsKeyId"] == KEY
    assert warehouse["Tags"] == [{"Key": "AirflowStack", "Value": "airflow-dev"}]
    queue = json.loads(shell.secret("connections/queue")["Text"])
    assert queue == {"conn_type": "aws", "login": "me", "password": "hunter2"}
    assert shell.secret("variables/region")["Text"] == "hunter2"
    assert shell.secret("variables/limits")["Text"] == '{"most": "hunter2"}'
    assert shell.run().exit_code == ExitCode.OK


def test_values_are_replaced_only_with_confirmation(shell: Shell) -> None:
    shell.values(VALUES)
    other = {"variables": {"region": "second"}}
    assert shell.values(other).exit_code == ExitCode.REFUSED
    assert shell.secret("variables/region")["Text"] == "hunter2"
    assert shell.values(other, "--yes").exit_code == ExitCode.OK
    assert shell.secret("variables/region")["Text"] == "second"


def test_missing_values_are_typed_at_a_terminal(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prompts, "is_possible", lambda: True)
    done = shell.run(typed="y\npostgres://me:hunter2@db\n\nhunter2\n[1]\n")
    assert "+ connections/queue" in done.output
    assert done.exit_code == ExitCode.FAILED  # one was skipped
    assert shell.secret("variables/region")["Text"] == "hunter2"
    assert shell.run(typed="n\n").exit_code == ExitCode.FAILED
    wrong = shell.run(typed="y\nhunter2\n")
    assert "neither a URI nor a JSON object. Nothing was written" in wrong.output


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("connections:\n  a: b: c\n", ":2", "It is not YAML"),
        ("pools:\n  a: b\n", ":1", "'pools' is not a list"),
        ("connections: x\n", ":1", "'connections' is not a list"),
        ("just text", ":1", "'just text' is not a list"),
        ("connections:\n  a/b: http\n", ":2", "'a/b' is no name"),
        ("connections:\n  a: http://me:hunter2@x\n", ":2", "holds no values"),
        ("connections:\n  a: {password: hunter2}\n", ":2", "holds no values"),
        ("connections:\n  a:\n", ":2", "The kind of a is not one word"),
        ("connections:\n  a: http\n  a: http\n", ":3", "a is there twice"),
        ("variables:\n  a: yaml\n", ":2", "yaml is no kind of variable"),
    ],
)
def test_mistakes_of_the_file_have_a_line(
    shell: Shell, text: str, where: str, what: str
) -> None:
    shell.write(text)
    done = shell.run()
    assert done.exit_code == ExitCode.FAILED
    assert f"connections/dev.yaml{where}" in done.output
    assert what in " ".join(done.output.split())


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ([], "not an object with connections and variables"),
        ({"pools": {}}, "not an object with connections and variables"),
        ({"variables": {"nowhere": "hunter2"}}, "nowhere is not in the environment's"),
        ({"connections": {"warehouse": "hunter2"}}, "neither a URI nor a JSON"),
        ({"connections": {"warehouse": 3}}, "neither a URI nor a JSON object"),
        ({"connections": {"warehouse": "mysql://x"}}, "not of the kind postgres"),
        ({"connections": {"queue": {"conn_type": "http"}}}, "not of the kind aws"),
        (
            {"connections": {"queue": {"pass": "hunter2"}}},
            "Airflow knows no field pass",
        ),
        ({"connections": {"queue": '{"password": hunter2'}}, "the value is not JSON"),
        ({"variables": {"limits": "hunter2"}}, "the value is not JSON"),
        ({"variables": {"region": ""}}, "the value is empty"),
        ({}, "It has no value"),
    ],
)
def test_wrong_values_are_refused_unseen_and_nothing_is_written(
    shell: Shell, values: object, what: str
) -> None:
    done = shell.values(values)
    assert done.exit_code == ExitCode.FAILED
    assert what in " ".join(done.output.split())
    assert not shell.aws.client("secretsmanager").list_secrets()["SecretList"]


def test_values_that_are_not_json_have_a_line(shell: Shell) -> None:
    done = shell.run("--values", "-", typed='{\n"variables": hunter2}')
    assert done.exit_code == ExitCode.FAILED
    assert "standard input:2 It is not JSON" in " ".join(done.output.split())


def test_what_is_not_there_is_named(shell: Shell) -> None:
    assert shell.run("--values", "nowhere.json").exit_code == ExitCode.USAGE
    (shell.folder / "connections/dev.yaml").unlink()
    done = shell.run()
    assert done.exit_code == ExitCode.USAGE
    assert "There is no such file" in done.output


def test_an_environment_without_a_prefix_is_refused(shell: Shell) -> None:
    shell.parameters["SecretsPrefix"] = ""
    done = shell.run()
    assert done.exit_code == ExitCode.REFUSED
    assert 'Set "SecretsPrefix": "airflow-dev"' in " ".join(done.output.split())
