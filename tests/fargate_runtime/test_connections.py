"""URLs from parts, for passwords of any characters."""

from __future__ import annotations

import shlex
import string
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fargate_runtime.connections import CONNECT_ARGS, URLS, broker, metadata, results

ROOT = Path(__file__).parents[2]
PRINTABLE = "".join(chr(code) for code in range(32, 127))
PARTS = {
    f"{store}_{part}": value
    for store in ("METADATA", "RESULTS", "BROKER")
    for part, value in {
        "HOST": "writer.cluster-abc.eu-west-1.rds.amazonaws.com",
        "PORT": "5433",
        "NAME": "airflow",
        "USER": "someone",
        "PASSWORD": "plain",
    }.items()
}
ANY = st.one_of(
    st.text(alphabet=PRINTABLE, min_size=1),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
)


def run(
    command: str, environ: dict[str, str], folder: Path
) -> subprocess.CompletedProcess[bytes]:
    """Run a ``_CMD`` setting as Airflow does: split, without a shell."""
    program, *rest = shlex.split(command)
    assert program == "python"
    return subprocess.run(  # noqa: S603 - our own module
        [sys.executable, *rest],
        env={"PYTHONPATH": str(ROOT), **environ},
        cwd=folder,
        capture_output=True,
        check=False,
    )


@pytest.mark.parametrize("store", URLS)
@given(user=ANY, password=ANY, name=ANY)
def test_parsing_gives_back_every_part(
    store: str, user: str, password: str, name: str
) -> None:
    prefix = store.upper()
    text = URLS[store](
        PARTS
        | {
            f"{prefix}_USER": user,
            f"{prefix}_PASSWORD": password,
            f"{prefix}_NAME": name,
        }
    )
    url = urlsplit(text.removeprefix("db+"))
    assert (unquote(url.username or ""), unquote(url.password or "")) == (
        user,
        password,
    )
    assert (url.hostname, url.port) == (PARTS["METADATA_HOST"], 5433)
    assert unquote(url.path) == ("/0" if store == "broker" else f"/{name}")
    # ?sslmode= reached asyncpg: half of the web pages answered 500.
    assert not url.query
    assert not url.fragment
    # What a shell, Airflow or a strip could change must not be there at all.
    assert not set(text) & set(string.whitespace + "$\"'\\")


def test_url_schemes_are_those_of_airflow_and_celery() -> None:
    assert metadata(PARTS).startswith("postgresql+psycopg2://someone:plain@writer.")
    assert results(PARTS).startswith("db+postgresql+psycopg2://someone:plain@writer.")
    assert broker(PARTS).startswith("rediss://someone:plain@writer.")


def test_output_has_no_newline_and_every_character(tmp_path: Path) -> None:
    # A newline became part of the name: database "airflow\n" does not exist.
    result = run(
        "python -m fargate_runtime.connections metadata",
        PARTS | {"METADATA_PASSWORD": PRINTABLE + "$HOME~"},
        tmp_path,
    )
    assert result.returncode == 0
    assert result.stdout.endswith(b":5433/airflow")
    url = urlsplit(result.stdout.decode())
    assert unquote(url.password or "") == PRINTABLE + "$HOME~"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"BROKER_PASSWORD": None}, "BROKER_PASSWORD is not set"),
        ({"BROKER_PASSWORD": ""}, "BROKER_PASSWORD is empty"),
        ({"BROKER_HOST": "evil/#@host"}, "BROKER_HOST is not a host name"),
        ({"BROKER_PORT": "6379\n"}, "BROKER_PORT is not a port"),
        ({"BROKER_PORT": "0"}, "BROKER_PORT is not a port"),
        ({"BROKER_PORT": "65536"}, "BROKER_PORT is not a port"),
        ({"BROKER_PORT": "٣"}, "BROKER_PORT is not a port"),
    ],
)
def test_invalid_variables_are_one_line_without_the_secret(
    change: dict[str, str | None], words: str, tmp_path: Path
) -> None:
    environ = {
        name: value
        for name, value in (PARTS | {"BROKER_PASSWORD": "hush"} | change).items()
        if value is not None
    }
    result = run("python -m fargate_runtime.connections broker", environ, tmp_path)
    assert result.returncode == 1
    assert result.stdout == b""
    assert words in result.stderr.decode()
    assert result.stderr.count(b"\n") == 1
    assert b"hush" not in result.stderr


def test_unknown_store_is_refused(tmp_path: Path) -> None:
    result = run("python -m fargate_runtime.connections other", PARTS, tmp_path)
    assert result.returncode == 2
    assert b"metadata, results, broker" in result.stderr


def test_silent_failover_is_noticed_within_a_minute() -> None:
    idle = CONNECT_ARGS["keepalives_idle"]
    probes = CONNECT_ARGS["keepalives_interval"] * CONNECT_ARGS["keepalives_count"]
    assert CONNECT_ARGS["keepalives"] == 1
    assert idle + probes <= 60
    assert CONNECT_ARGS["tcp_user_timeout"] <= 60_000
    assert CONNECT_ARGS["connect_timeout"] <= 15
