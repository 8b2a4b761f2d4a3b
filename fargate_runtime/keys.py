"""Airflow's Fernet key, derived: ``python -m fargate_runtime.keys fernet``.

Secrets Manager cannot generate such a key: it is 32 bytes in url-safe base64.
The SHA-256 of a long random secret is 32 bytes that are as hard to guess, the same
for ever as long as the secret is.
"""

from __future__ import annotations

import base64
import hashlib
import os
import sys
from typing import TYPE_CHECKING

from fargate_runtime.contract import Env
from fargate_runtime.env import EnvError, required

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SHORTEST_SECRET = 32
"""Characters: below that, the key is easier to guess than a Fernet key should be."""


def fernet(environ: Mapping[str, str]) -> str:
    """Return the key, or ``new,old`` while ``FERNET_SECRET_PREVIOUS`` is set."""
    keys = [_key(environ, Env.FERNET_SECRET)]
    if environ.get(Env.FERNET_SECRET_PREVIOUS):
        keys.append(_key(environ, Env.FERNET_SECRET_PREVIOUS))
    return ",".join(dict.fromkeys(keys))


def _key(environ: Mapping[str, str], name: str) -> str:
    secret = required(environ, name)
    if len(secret) < SHORTEST_SECRET:
        raise EnvError(f"{name} is shorter than {SHORTEST_SECRET} characters")
    return base64.urlsafe_b64encode(hashlib.sha256(secret.encode()).digest()).decode()


def main(arguments: Sequence[str]) -> int:
    """Print the key; return 1, with one line, when there is none."""
    if list(arguments) != ["fernet"]:
        sys.stderr.write("fargate_runtime.keys: the only key is fernet\n")
        return 2
    try:
        sys.stdout.write(fernet(os.environ))
    except EnvError as error:
        sys.stderr.write(f"fargate_runtime.keys fernet: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
