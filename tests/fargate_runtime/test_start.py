"""What happens between the bootstrap and the command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fargate_runtime import connections, keys
from fargate_runtime.env import EnvError
from fargate_runtime.start import (
    LIMITS,
    SETTINGS,
    of_region,
    set_limits,
    set_settings,
    write_certificates,
)

ROOT = Path(__file__).parents[2]


def test_certificates_of_the_region_lie_where_libpq_looks(tmp_path: Path) -> None:
    path = tmp_path / "rds-ca.pem"
    write_certificates({"PGSSLROOTCERT": str(path), "AWS_REGION": "eu-west-1"})
    text = path.read_text()
    assert text.count("BEGIN CERTIFICATE") == 3
    assert text.count("Amazon RDS eu-west-1 Root CA") == 3


def test_region_without_its_own_trusts_the_whole_bundle(tmp_path: Path) -> None:
    path = tmp_path / "rds-ca.pem"
    write_certificates({"PGSSLROOTCERT": str(path), "AWS_REGION": "xx-new-9"})
    assert path.read_text() == (ROOT / "fargate_runtime" / "rds-ca.pem").read_text()


def test_operators_own_bundle_is_used_whole() -> None:
    # AWS's own files carry no names beside the certificates.
    assert of_region("-----BEGIN CERTIFICATE-----\n", "eu-west-1").startswith("-----")


def test_operators_own_certificates_stay(tmp_path: Path) -> None:
    path = tmp_path / "own.pem"
    path.write_text("mine")
    write_certificates({"PGSSLROOTCERT": str(path), "AWS_REGION": "eu-west-1"})
    assert path.read_text() == "mine"


@pytest.mark.parametrize("value", [None, "", "system"])
def test_certificates_need_a_path(
    value: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_certificates({} if value is None else {"PGSSLROOTCERT": value})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["no-such-command"], "cannot start no-such-command"),
        ([], "no command to start"),
    ],
)
def test_command_that_cannot_start_is_one_line(
    command: list[str], words: str, tmp_path: Path
) -> None:
    text = "import sys; from fargate_runtime.start import start; start(sys.argv[1:])"
    result = subprocess.run(  # noqa: S603 - our own text
        [sys.executable, "-c", text, *command],
        env={"PYTHONPATH": str(ROOT), "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("slots", "limit"),
    [("10*8+25*4", 180), ("400", 400), ("0*8", 0), ("010*8", 80), ("1*2+3*4+5", 19)],
)
def test_airflow_may_run_what_all_workers_can(slots: str, limit: int) -> None:
    # With Airflow's default of 32, workers idle while tasks wait.
    environ = {"WORKER_SLOTS": slots}
    set_limits(environ)
    assert {environ[name] for name in LIMITS} == {str(limit)}


def test_explicit_limits_stay() -> None:
    environ = {"WORKER_SLOTS": "10*8", "AIRFLOW__CORE__PARALLELISM": "7"}
    set_limits(environ)
    assert environ["AIRFLOW__CORE__PARALLELISM"] == "7"


def test_limits_need_worker_slots() -> None:
    environ: dict[str, str] = {}
    set_limits(environ)
    assert environ == {}


@pytest.mark.parametrize("slots", ["10x8", "8*", "-1*8", "2.5*8", "8+", "__import__"])
def test_invalid_worker_slots_end_the_start_in_one_line(slots: str) -> None:
    ended = subprocess.run(  # noqa: S603 - our own module
        [
            *(sys.executable, "-c"),
            "from fargate_runtime.start import start; start(['true'])",
        ],
        cwd=ROOT,
        env={"WORKER_SLOTS": slots},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert f"WORKER_SLOTS is {slots!r}" in ended.stderr


PARTS = {
    f"{store}_{part}": value
    for store in ("METADATA", "RESULTS", "BROKER")
    for part, value in (
        ("HOST", "db.example.com"),
        ("PORT", "5433"),
        ("NAME", "airflow"),
        ("USER", "airflow"),
        ("PASSWORD", "".join(map(chr, range(32, 127)))),
    )
} | {"FERNET_SECRET": "$HOME~" * 10}


def test_settings_equal_the_output_of_their_commands() -> None:
    # A scheduler started one of them 16 times until it ran.
    environ = {**PARTS, **{f"{name}_CMD": "a command" for name in SETTINGS}}

    set_settings(environ)

    assert {name: environ[name] for name in SETTINGS} == {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": connections.metadata(PARTS),
        "AIRFLOW__CELERY__BROKER_URL": connections.broker(PARTS),
        "AIRFLOW__CELERY__RESULT_BACKEND": connections.results(PARTS),
        "AIRFLOW__CORE__FERNET_KEY": keys.fernet(PARTS),
    }
    for name in SETTINGS:
        # Airflow would expand them.
        assert "$" not in environ[name]
        assert not environ[name].startswith("~")


def test_settings_without_a_command_are_not_set() -> None:
    environ = dict(PARTS)

    set_settings(environ)

    assert environ == PARTS


def test_setting_that_is_set_stays() -> None:
    name = "AIRFLOW__CORE__FERNET_KEY"
    environ = {**PARTS, name: "own", f"{name}_CMD": "a command"}

    set_settings(environ)

    assert environ[name] == "own"


def test_missing_variables_are_named() -> None:
    with pytest.raises(EnvError, match="BROKER_USER is not set"):
        set_settings({"AIRFLOW__CELERY__BROKER_URL_CMD": "a command"})
