"""The commands ``dags``: what they print, and their exit codes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner, Result
from moto import mock_aws

from cli import dags
from cli.deployment import CommandTarget, ProjectContext
from cli.errors import ExitCode
from deploy import releases, stacks
from deploy.aws import Aws
from tests.deploy.fakes import REGION

BUCKET = "releases-bucket"


class Shell:
    """Runs ``build.py dags``, without the check by Airflow."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._group = dags.group(ProjectContext(folder, lambda _region: ("", {}, dict)))

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(self._group, words)

    def push(self, text: str, *words: str) -> Result:
        (self.folder / "hello.py").write_text(text)
        return self.run("push", "dev", str(self.folder), "--no-check", *words)


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    with mock_aws():
        aws = Aws(region=REGION)
        where = {"LocationConstraint": REGION}
        aws.call("s3", "create_bucket", Bucket=BUCKET, CreateBucketConfiguration=where)
        stack = SimpleNamespace(outputs={releases.BUCKET: BUCKET, releases.KEY: "arn"})
        monkeypatch.setattr(CommandTarget, "aws", lambda _target: aws)
        monkeypatch.setattr(stacks, "existing", lambda _aws, _name: stack)
        yield Shell(tmp_path)


@pytest.mark.slow
def test_push_list_diff_and_rollback(shell: Shell) -> None:
    assert "Nothing was pushed" in shell.run("list", "dev").output
    first = shell.push("1\n", "--json")
    assert first.exit_code == ExitCode.OK, first.output
    version = json.loads(first.stdout)["Version"]
    assert first.exit_code == ExitCode.OK
    assert shell.push("1\n").exit_code == ExitCode.UNCHANGED

    (shell.folder / "hello.py").write_text("2\n")
    shown = shell.run("diff", "dev", str(shell.folder))
    assert "~ hello.py  +1 -1" in shown.output
    assert shown.exit_code == ExitCode.OK
    assert f", before {version[:12]}: 1 file, 2 bytes" in shell.push("2\n").output
    assert shell.run("diff", "dev", str(shell.folder)).exit_code == ExitCode.UNCHANGED

    back = shell.run("rollback", "dev")
    assert f"releases is now at {version[:12]}" in back.output
    listed = json.loads(shell.run("list", "dev", "--json").stdout)["Releases"]
    assert [entry["What"] for entry in listed] == ["rollback", "push", "push"]
    assert not listed[0]["IsChecked"]
    lines = shell.run("list", "dev").output.splitlines()
    assert lines[1].startswith(f"*    {version[:12]}")


@pytest.mark.parametrize(
    ("words", "code", "what"),
    [
        (("list", "dev", "--bundle", "dags"), ExitCode.USAGE, "releases"),
        (("push", "dev", "missing"), ExitCode.USAGE, "missing"),
        (("push", "dev", "{folder}"), ExitCode.REFUSED, "holds no file"),
        (("rollback", "dev"), ExitCode.USAGE, "no older version"),
    ],
)
def test_mistakes_have_an_exit_code_and_a_reason(
    shell: Shell, words: tuple[str, ...], code: ExitCode, what: str
) -> None:
    done = shell.run(*(word.format(folder=shell.folder) for word in words))
    assert done.exit_code == code
    assert what in done.output
