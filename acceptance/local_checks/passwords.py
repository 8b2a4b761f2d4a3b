"""Passwords of every printable character, through the code that the containers use.

The property test of the datastores tries many; here a few are used with the
environment's own database. Its broker keeps its password, so a second broker with the
same permissions is started for each.
"""

from __future__ import annotations

import random
import string
import tempfile
from pathlib import Path

from acceptance import store_probe
from acceptance.check import CheckFailed
from acceptance.containers import first_container
from local.datastores import Authority, Valkey, broker_access, broker_settings
from local.environment import LocalEnvironment
from local.stores import MASTER

PRINTABLE = "".join(map(chr, range(32, 127)))
SHUFFLED = "".join(random.Random(4).sample(PRINTABLE, 40))  # noqa: S311 - no secret
PASSWORDS = (PRINTABLE, string.punctuation * 2, SHUFFLED)
MEBIBYTES = 8

ROLE = "check_passwords"
"""Of the database, as in ``store_probe_main``."""


def every_character(environment: LocalEnvironment) -> str:
    """Connect with such passwords by every URL that the runtime builds."""
    environ = first_container(environment, "scheduler").environ
    master = environment.secret(MASTER)
    dist = environment.folder / "dist"
    expected: dict[str, str] = {}
    for password in PASSWORDS:
        with tempfile.TemporaryDirectory(prefix="check-") as path:
            folder = Path(path)
            authority = Authority(folder / "ca")
            access = broker_access(dist)
            broker = Valkey(
                authority=authority,
                access=access,
                password=password,
                settings=broker_settings(dist),
                memory_mebibytes=MEBIBYTES,
            )
            server = broker.start(folder / "broker")
            try:
                broker_environ = {
                    "BROKER_HOST": server.host,
                    "BROKER_PORT": str(server.port),
                    "BROKER_USER": access.user,
                    "BROKER_PASSWORD": password,
                    "SSL_CERT_FILE": str(server.ca_path),
                }
                users = store_probe.login_as(environ | broker_environ, master, password)
            finally:
                broker.stop()
        expected = {
            **dict.fromkeys(("metadata", "metadata, asynchronous", "results"), ROLE),
            "broker": access.user,
        }
        if users != expected:
            raise CheckFailed(f"The stores say {users}, not {expected}.")
    return (
        f"{len(PASSWORDS)} passwords of up to {max(map(len, PASSWORDS))} characters at "
        f"{', '.join(expected)} (a second broker)"
    )
