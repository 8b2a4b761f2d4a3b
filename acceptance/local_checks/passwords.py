"""Passwords of every printable character, through the code that the containers use.

The property test of the datastores tries many; here a few are used with the
environment's own database. Its broker keeps its password, so a second broker with the
same permissions is started for each.
"""

from __future__ import annotations

import random
import string
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from acceptance.check import CheckFailed
from acceptance.containers import first_container
from acceptance.store_probe import Call, probe
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
    master, dist = environment.secret(MASTER), environment.folder / "dist"
    access = broker_access(dist)
    calls: list[Call] = []
    with ExitStack() as cleanup:
        folder = Path(cleanup.enter_context(TemporaryDirectory(prefix="check-")))
        authority = Authority(folder / "ca")
        for number, password in enumerate(PASSWORDS):
            broker = Valkey(
                authority=authority,
                access=access,
                password=password,
                settings=broker_settings(dist),
                memory_mebibytes=MEBIBYTES,
            )
            cleanup.callback(broker.stop)
            server = broker.start(folder / f"broker-{number}")
            broker_environ = {
                "BROKER_HOST": server.host,
                "BROKER_PORT": str(server.port),
                "BROKER_USER": access.user,
                "BROKER_PASSWORD": password,
                "SSL_CERT_FILE": str(server.ca_path),
            }
            calls.append(("login_as", environ | broker_environ, [master, password]))
        results = probe(*calls)
    expected = {
        **dict.fromkeys(("metadata", "metadata, asynchronous", "results"), ROLE),
        "broker": access.user,
    }
    if any(users != expected for users in results):
        raise CheckFailed(f"The datastores report {results}, not {expected} each time.")
    return (
        f"{len(PASSWORDS)} passwords of up to {max(map(len, PASSWORDS))} characters at "
        f"{', '.join(expected)} (a second broker)"
    )
