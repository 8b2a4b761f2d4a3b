"""Addresses of the environments that run on this machine, for other commands.

Each healthy environment has a file in its folder, without a secret: the emulator checks
no password.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from cli.errors import Problem, Unable
from deploy.aws import Aws, EmulatorEndpoint
from local import folders
from local.emulator.process import SECRET_ACCESS_KEY

FOLDER = Path(".local/environments")
FILE = "running.json"


@dataclass(frozen=True)
class RunningEnvironment:
    """Where an environment answers."""

    endpoint: str
    """Of AWS."""
    region: str
    account: str
    url: str
    """Of the public listener."""
    authority: str
    """Path of the certificate authority that has signed for it."""

    @property
    def ca_path(self) -> Path:
        """The certificate authority."""
        return Path(self.authority)

    def aws(self) -> Aws:
        """Return its account."""
        return Aws(
            emulator=EmulatorEndpoint(
                endpoint=self.endpoint,
                region=self.region,
                access_key_id=self.account,
                secret_access_key=SECRET_ACCESS_KEY,
            )
        )

    def write(self, folder: Path) -> Path:
        """Write the file of an environment; return its path."""
        path = folder / FILE
        path.write_text(json.dumps(asdict(self)))
        return path


def find(project: Path, name: str) -> RunningEnvironment | None:
    """Return an environment of this name that runs, the first one."""
    for path in sorted((project / FOLDER).glob(f"{name}-*/{FILE}")):
        # Another environment may be called NAME-...; a crash leaves its file.
        number = path.parent.name.removeprefix(f"{name}-")
        if number.isdecimal() and folders.is_claimed(path.parent):
            return _read(path)
    return None


def _read(path: Path) -> RunningEnvironment:
    try:
        # Reading a named pipe would block.
        content = json.loads(path.read_text()) if path.is_file() else {}
        return RunningEnvironment(**content)
    except (TypeError, ValueError) as error:
        raise Unable(
            Problem(
                where=str(path),
                what="This record of the running environment is damaged.",
                remedy="End that environment with Ctrl-C in its terminal, and start it "
                "again.",
            )
        ) from error
