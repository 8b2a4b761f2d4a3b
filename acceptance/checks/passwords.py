"""Passwords of every printable character, through the code that the containers use.

The property test of the engines tries many; here a few meet the stage's own database.
The stage's broker keeps its password, so one like it stands in, with the same rights.
"""

from __future__ import annotations

import random
import string
import tempfile
from pathlib import Path

from acceptance import store_probe
from acceptance.check import NotProven
from acceptance.containers import first
from local.datastores import Authority, Valkey, broker_access, broker_settings
from local.environment import Stage

PRINTABLE = "".join(map(chr, range(32, 127)))
SHUFFLED = "".join(random.Random(4).sample(PRINTABLE, 40))  # noqa: S311 - no secret
PASSWORDS = (PRINTABLE, string.punctuation * 2, SHUFFLED)
MEBIBYTES = 8


def every_character(stage: Stage) -> str:
    """Connect with such passwords by every URL that the runtime builds."""
    environ = first(stage, "scheduler").environment
    master = stage.secret("rds!cluster")
    dist = stage.folder / "dist"
    expected: dict[str, str] = {}
    for password in PASSWORDS:
        with tempfile.TemporaryDirectory(prefix="proof-") as made:
            folder = Path(made)
            authority = Authority(folder / "ca")
            access = broker_access(dist)
            broker = Valkey(
                authority=authority,
                access=access,
                password=password,
                settings=broker_settings(dist),
                memory_mebibytes=MEBIBYTES,
            )
            at = broker.start(folder / "broker")
            try:
                told = environ | {
                    "BROKER_HOST": at.host,
                    "BROKER_PORT": str(at.port),
                    "BROKER_USER": access.user,
                    "BROKER_PASSWORD": password,
                    "SSL_CERT_FILE": str(at.ca_path),
                }
                seen = store_probe.whoever(told, master, password)
            finally:
                broker.stop()
        own = "proof_of_passwords"
        expected = dict.fromkeys(("metadata", "metadata, asynchronous", "results"), own)
        expected["broker"] = access.user
        if seen != expected:
            raise NotProven(f"The stores know us as {seen}, not as {expected}.")
    return (
        f"{len(PASSWORDS)} passwords of up to {max(map(len, PASSWORDS))} characters at "
        f"{', '.join(expected)} (a broker like the stage's)"
    )
