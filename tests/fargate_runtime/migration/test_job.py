"""The migration job, with an ``airflow`` command that records what it is given."""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from fargate_runtime import keys
from fargate_runtime.migration import job
from tests.fargate_runtime.migration.fake_postgresql import Server

SECRETS = {
    "METADATA_PASSWORD": "meta/pw #1",
    "RESULTS_PASSWORD": "results pw",
    "MASTER_PASSWORD": "master pw",
    "SCALING_PASSWORD": "scaling pw",
    "ADMIN_PASSWORD": 'admin "pw" $1',
    "FERNET_SECRET": "fernet-secret-" * 3,
    "AIRFLOW__API_AUTH__JWT_SECRET": "jwt-secret",
    "AIRFLOW__API__SECRET_KEY": "api-secret",
}
ENVIRON = SECRETS | {
    "METADATA_HOST": "db.example",
    "METADATA_PORT": "5433",
    "METADATA_NAME": "airflow",
    "METADATA_USER": "airflow",
    "RESULTS_HOST": "db.example",
    "RESULTS_PORT": "5433",
    "RESULTS_NAME": "celery_results",
    "RESULTS_USER": "celery_results",
    "MASTER_USER": "master",
    "SCALING_USER": "scaling",
    "ADMIN_USER": "admin",
    job.POOL_SLOTS: "80",
}
VERSIONS = {
    "apache-airflow-core": "3.3.2",
    "apache-airflow-providers-celery": "3.26.0",
    "apache-airflow-providers-fab": "3.10.2",
    "apache-airflow-providers-amazon": "9.39.0",
}
AIRFLOW = """#!{python}
import json, os, sys, time
from pathlib import Path
known = Path({record!r})
typed = sys.stdin.read()
calls = json.loads(known.read_text()) if known.exists() else []
calls.append({{"arguments": sys.argv[1:], "typed": typed, "environ": dict(os.environ)}})
known.write_text(json.dumps(calls))
{body}
"""


class FakeImage:
    """A container with an ``airflow`` command, a database and an environment."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.record = folder / "calls.json"
        self.command = folder / "airflow"
        self.versions = dict(VERSIONS)
        self.server = Server()
        self.server.install(monkeypatch)
        self.behaves("")
        monkeypatch.setattr(job, "version", self.version)
        self._monkeypatch = monkeypatch
        self.packages("")
        for name, value in ENVIRON.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("PATH", str(folder))

    def behaves(self, body: str) -> None:
        text = AIRFLOW.format(python=sys.executable, record=str(self.record), body=body)
        self.command.write_text(text)
        self.command.chmod(0o755)

    def packages(self, problem: str) -> None:
        """Let the check of the packages print a problem, if any, and fail."""
        code = (
            f"import sys; problem = {problem!r}; print(problem); sys.exit(problem > '')"
        )
        self._monkeypatch.setattr(job, "IMAGE_CHECK", (sys.executable, "-c", code))

    def version(self, package: str) -> str:
        if package not in self.versions:
            raise PackageNotFoundError(package)
        return self.versions[package]

    @property
    def calls(self) -> list[dict[str, Any]]:
        if not self.record.exists():
            return []
        runs: list[dict[str, Any]] = json.loads(self.record.read_text())
        return runs


def token(secret: str) -> str:
    """Return what Airflow stores with a key."""
    return Fernet(keys.fernet({"FERNET_SECRET": secret})).encrypt(b"text").decode()


OWN, FOREIGN = token(ENVIRON["FERNET_SECRET"]), token("of another environment " * 2)
PASSWORDS, EXTRAS = ("connection", "password"), ("connection", "extra")
VARIABLES = ("variable", "val")


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeImage:
    return FakeImage(tmp_path, monkeypatch)


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out.splitlines()[-1]


def test_databases_come_first_then_tables_then_the_administrator(
    image: FakeImage, capsys: pytest.CaptureFixture[str]
) -> None:
    assert job.main() == 0
    assert last_line(capsys) == "MIGRATION DONE"
    assert set(image.server.owners) == {"postgres", "airflow", "celery_results"}
    migrate, create = image.calls
    assert migrate["arguments"] == ["db", "migrate"]
    assert create["arguments"][:2] == ["users", "create"]
    assert "task_instance" in image.server.readable["scaling"]


def test_default_pool_follows_the_slots_of_the_workers(
    image: FakeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert job.main() == 0
    monkeypatch.setenv(job.POOL_SLOTS, "200")
    assert job.main() == 0
    slots, description = image.server.default_pool
    assert slots == 200
    assert description.endswith(" 200")


@pytest.mark.parametrize(
    "by_operator",
    [
        (50, "Default pool"),
        (50, "Default pool, with the slots of all workers: 80"),
        (80, "Shared by all teams"),
    ],
)
def test_default_pool_stays_as_an_operator_set_it(
    by_operator: tuple[int, str],
    image: FakeImage,
    capsys: pytest.CaptureFixture[str],
) -> None:
    image.server.default_pool = by_operator
    assert job.main() == 0
    assert image.server.default_pool == by_operator
    assert "default_pool keeps the slots" in capsys.readouterr().out


def test_administrators_password_goes_to_standard_input(image: FakeImage) -> None:
    # An argument is output by every process of the container, and Airflow logs it.
    job.main()
    create = image.calls[1]
    password = ENVIRON["ADMIN_PASSWORD"]
    assert create["typed"] == f"{password}\n{password}\n"
    assert password not in " ".join(create["arguments"])
    assert password not in create["environ"].values()


def test_airflow_never_sees_the_master_user(image: FakeImage) -> None:
    job.main()
    for call in image.calls:
        assert not {"MASTER_USER", "MASTER_PASSWORD"} & set(call["environ"])
        assert call["environ"]["METADATA_PASSWORD"] == ENVIRON["METADATA_PASSWORD"]


def test_failed_migration_is_the_reason_and_nothing_follows(
    image: FakeImage, capsys: pytest.CaptureFixture[str]
) -> None:
    image.behaves("print('Traceback'); print('deadlock detected\\n'); sys.exit(3)")
    assert job.main() == 1
    assert last_line(capsys) == (
        "MIGRATION FAILED: airflow db migrate ended with exit status 3: "
        "deadlock detected"
    )
    assert len(image.calls) == 1


@pytest.mark.parametrize("column", [PASSWORDS, EXTRAS, VARIABLES])
def test_fernet_key_of_another_environment_migrates_nothing(
    image: FakeImage, capsys: pytest.CaptureFixture[str], column: tuple[str, str]
) -> None:
    image.server.tokens[column] = [FOREIGN, FOREIGN]
    assert job.main() == 1
    reason = last_line(capsys)
    assert "the Fernet key does not fit this database" in reason
    assert "none of the 2 stored" in reason
    assert "set FernetKeySecretArn" in reason
    assert not image.calls
    assert not image.server.connections


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        ({}, "decrypts 0 of 0 stored values"),
        ({PASSWORDS: []}, "decrypts 0 of 0 stored values"),
        ({VARIABLES: [OWN]}, "decrypts 1 of 1 stored values"),
        # A rotation that skipped a step left them behind.
        ({PASSWORDS: [FOREIGN], VARIABLES: [OWN]}, "decrypts 1 of 2 stored values"),
    ],
)
def test_fernet_key_that_decrypts_anything_fits(
    image: FakeImage,
    capsys: pytest.CaptureFixture[str],
    tokens: dict[tuple[str, str], list[str]],
    words: str,
) -> None:
    image.server.tokens.update(tokens)
    assert job.main() == 0
    assert words in capsys.readouterr().out


def test_previous_fernet_key_fits_during_a_rotation(
    image: FakeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    image.server.tokens[PASSWORDS] = [OWN]
    monkeypatch.setenv("FERNET_SECRET_PREVIOUS", ENVIRON["FERNET_SECRET"])
    monkeypatch.setenv("FERNET_SECRET", "the second key of the rotation " * 2)
    assert job.main() == 0
    monkeypatch.delenv("FERNET_SECRET_PREVIOUS")
    assert job.main() == 1


def test_broken_package_is_the_reason_and_no_database_is_touched(
    image: FakeImage, capsys: pytest.CaptureFixture[str]
) -> None:
    image.packages("plugin page.py cannot be imported: No module named 'cowsay'")
    assert job.main() == 1
    assert last_line(capsys) == (
        "MIGRATION FAILED: the image is not used: plugin page.py cannot be imported: "
        "No module named 'cowsay'"
    )
    assert not image.calls
    assert not image.server.connections


def test_tables_of_a_newer_airflow_are_reported(
    image: FakeImage, capsys: pytest.CaptureFixture[str]
) -> None:
    # Airflow itself says: Can't locate revision identified by 'd2f4e1b3c5a7'.
    image.behaves("sys.exit(\"Can't locate revision identified by 'd2f4'\")")
    assert job.main() == 1
    assert "a newer Airflow than the image's" in last_line(capsys)


def test_no_secret_is_printed_whatever_airflow_says(
    image: FakeImage, capsys: pytest.CaptureFixture[str]
) -> None:
    leaks = [*SECRETS.values(), "postgresql://airflow:meta%2Fpw%20%231@db.example"]
    image.behaves(f"for leak in {leaks!r}: print('leak', leak)\nsys.exit(1)")
    assert job.main() == 1
    output = capsys.readouterr().out
    assert output.count("***") == len(leaks) + 1
    for secret in SECRETS.values():
        assert secret not in output
    assert "meta%2Fpw%20%231" not in output


def test_command_that_hangs_is_stopped(
    image: FakeImage,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # With its children: one that lives on holds the output open.
    image.behaves("os.fork(); time.sleep(30)")
    monkeypatch.setattr(job, "MIGRATION_SECONDS", 0.5)
    began = time.monotonic()
    assert job.main() == 1
    assert time.monotonic() - began < 20
    assert "airflow db migrate was stopped after" in last_line(capsys)


@pytest.mark.parametrize(
    ("package", "installed", "words"),
    [
        ("apache-airflow-core", None, "the image holds no Airflow 3"),
        ("apache-airflow-core", "3.2.1", "holds Airflow 3.2.1; these templates run"),
        ("apache-airflow-core", "3.30.0", "holds Airflow 3.30.0"),
        ("apache-airflow-providers-fab", None, "lacks apache-airflow-providers-fab"),
    ],
)
def test_unsupported_image_migrates_nothing(
    image: FakeImage,
    capsys: pytest.CaptureFixture[str],
    package: str,
    installed: str | None,
    words: str,
) -> None:
    del image.versions[package]
    if installed:
        image.versions[package] = installed
    assert job.main() == 1
    assert words in last_line(capsys)
    assert image.calls == []
    assert image.server.statements == []


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in ENVIRON
        if name.startswith(("METADATA", "RESULTS", "MASTER", "ADMIN"))
    ],
)
def test_missing_variables_are_named_before_any_change(
    image: FakeImage,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    monkeypatch.delenv(name)
    assert job.main() == 1
    assert last_line(capsys).startswith(f"MIGRATION FAILED: {name} is not set")
    assert image.calls == []
    assert image.server.statements == []


def test_database_errors_are_the_reason(
    image: FakeImage, capsys: pytest.CaptureFixture[str]
) -> None:
    image.server.granted.add(("celery_results", "airflow"))
    assert job.main() == 1
    assert last_line(capsys).startswith(
        "MIGRATION FAILED: role celery_results may connect"
    )


def test_unexpected_errors_end_with_their_reason(
    image: FakeImage,
    capsys: pytest.CaptureFixture[str],
) -> None:
    image.command.unlink()
    assert job.main() == 1
    output = capsys.readouterr().out
    assert "Traceback" in output
    assert output.splitlines()[-1].startswith(
        "MIGRATION FAILED: unexpected FileNotFound"
    )
