"""Passwords of any printable character, through the code of the containers."""

from __future__ import annotations

import string

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.local.datastores.clients import Client, Datastores

pytestmark = pytest.mark.slow

PRINTABLE = "".join(chr(code) for code in range(32, 127))
PASSWORDS = st.text(PRINTABLE, min_size=1, max_size=40)


@settings(
    max_examples=8,
    # Every example uses the same datastores and sets its own password.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(password=PASSWORDS)
@example(password=PRINTABLE)
@example(password=string.punctuation * 2)
@example(password="%41$HOME~ {{x}} 'y' \\")  # noqa: S106 - of a test server
def test_every_password_connects_to_every_datastore(
    datastores: Datastores, client: Client, password: str
) -> None:
    datastores.valkey.password = password
    datastores.valkey.restart()
    assert client.ask("stores", datastores.containers(password)) == [
        "airflow",
        "airflow",
        "celery_results",
        "celery",
    ]
