"""The database of a local environment that is kept between runs.

Each launch makes an environment with secrets of its own. What the database
was written with is restored into the new secrets before anything reads them: the key of
the encrypted columns, and the password of the administrator who exists already.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local import folders
from local.errors import LocalEnvironmentError

FOLDER = Path(".local") / "data"
FERNET = {"first": ("FernetFirst",), "second": ("FernetSecond",)}
"""``FernetKeyRotation`` -> logical IDs in ``templates/credentials.py``."""
BOTH_FERNETS = ("FernetFirst", "FernetSecond")
ADMIN = "Admin"


class KeptData:
    """The folder of an environment's database, used by one process at a time."""

    def __init__(self, project: Path, name: str) -> None:
        """Take the folder. Raises LocalEnvironmentError while another one has it."""
        claim = folders.claim_this(project / FOLDER / name)
        if claim is None:
            raise LocalEnvironmentError(
                f"The kept data of {name} is in use.",
                "Another local environment runs with --keep-data.",
                "Stop that one, or leave --keep-data away.",
            )
        self._claim = claim
        self._file = claim.folder / "secrets.json"
        self.database = claim.folder.resolve() / "db"

    def restore_secrets(self, client: Any, names: Mapping[str, str]) -> None:
        """Put the kept values into the stack's secrets, or keep those of a new one.

        ``client`` is one of Secrets Manager; ``names`` are logical ID -> name.
        """
        if self._file.exists():
            earlier = json.loads(self._file.read_text())
            for secret in names.keys() & earlier.keys():
                client.put_secret_value(
                    SecretId=names[secret], SecretString=earlier[secret]
                )
            return
        values = {
            secret: client.get_secret_value(SecretId=name)["SecretString"]
            for secret, name in names.items()
        }
        self._file.touch(mode=0o600)
        self._file.write_text(json.dumps(values))

    def close(self) -> None:
        """Leave the data for the next run."""
        self._claim.keep()


def secrets(rotation: str) -> tuple[str, ...]:
    """Return the logical IDs of the secrets that the database was written with."""
    return (*FERNET.get(rotation, BOTH_FERNETS), ADMIN)
