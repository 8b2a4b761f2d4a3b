"""Valkey in place of ElastiCache: TLS only, one user, no eviction.

Real: the server; its access list, with the user and the rights of the compiled
template and the user ``default`` off; the values of the parameter group; the memory
limit and its effect; certificates that a client verifies.

Stubs: the package has no TLS, so ``local.tcp_proxy`` listens in its place and forwards
to the server's only socket, in the file system. Changes go to a file, so that a restart
finds them: ElastiCache has them on a replica, and loses them without one. There is no
failover, no snapshot and no slow log delivery.
"""

from __future__ import annotations

import hashlib
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from local.datastores.certificates import Authority, Certificate
from local.datastores.processes import SupervisedProcess, free_port
from local.datastores.readiness import DatastoreEndpoint, wait_until
from local.datastores.template_settings import BrokerAccess
from local.datastores.venvs import valkey_server
from local.errors import DatastoreError

TLS_PROXY = Path(__file__).parents[1] / "tcp_proxy.py"
START_SECONDS = 15

LONGEST_SOCKET = 100
"""Characters. Linux takes 107, and folders may be deep."""

MEBIBYTE = 1024 * 1024


class Valkey:
    """One server. ``start`` it in its own folder; the data stays there."""

    def __init__(
        self,
        *,
        authority: Authority,
        access: BrokerAccess,
        password: str,
        settings: Mapping[str, str],
        memory_mebibytes: int = 128,
        names: Iterable[str] = (),
    ) -> None:
        """Describe the server.

        ``access`` and ``settings`` are the template's user and parameter group,
        ``names`` are host names that clients use besides localhost. A later change of
        ``password`` takes effect at the next start.
        """
        self._authority = authority
        self._access = access
        self.password = password
        self._settings = dict(settings)
        self._memory = memory_mebibytes * MEBIBYTE
        self._names = tuple(names)
        self._folder = Path()
        self._program = Path()
        self._socket = Path()
        self._sockets = Path()
        self._port = 0
        self._server: SupervisedProcess | None = None
        self._tls_proxy: SupervisedProcess | None = None

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs."""
        return self._server.pid if self._server and self._server.is_running else None

    @property
    def listener_pid(self) -> int | None:
        """The process id of the TLS listener while it runs."""
        return (
            self._tls_proxy.pid
            if self._tls_proxy and self._tls_proxy.is_running
            else None
        )

    @property
    def log_path(self) -> Path:
        """Output of the server."""
        return self._folder / "valkey.log"

    def start(self, folder: Path) -> DatastoreEndpoint:
        """Start the server in ``folder``, with existing data or none."""
        self._folder = folder.resolve()
        self._program = valkey_server()
        (self._folder / "data").mkdir(parents=True, exist_ok=True)
        self._port = free_port()
        return self.restart()

    def restart(self) -> DatastoreEndpoint:
        """Stop the server if it runs, and start it at the same address."""
        self.stop()
        self._socket = self._folder / "socket"
        if len(str(self._socket)) > LONGEST_SOCKET:
            self._sockets = Path(tempfile.mkdtemp(prefix="valkey-"))
            self._socket = self._sockets / "socket"
        try:
            self._start_server()
            self._start_tls_proxy()
        except DatastoreError:
            self.stop()
            raise
        return DatastoreEndpoint("127.0.0.1", self._port, self._authority.ca_path)

    def stop(self) -> None:
        """End every connection and the server; safe to repeat."""
        self._end(is_crash=False)

    def kill(self) -> None:
        """End the server as a crash would; ``restart`` finds the data again."""
        self._end(is_crash=True)

    def _end(self, *, is_crash: bool) -> None:
        for process in (self._server, self._tls_proxy):
            if process and is_crash:
                process.kill()
            elif process:
                process.stop()
        self._server = self._tls_proxy = None
        if self._sockets.name:
            shutil.rmtree(self._sockets, ignore_errors=True)

    def _start_server(self) -> None:
        # By its digest: a password of any characters needs no quoting.
        digest = hashlib.sha256(self.password.encode()).hexdigest()
        local_settings = {
            "port": "0",
            "unixsocket": f'"{self._socket}"',
            "unixsocketperm": "700",
            "dir": f'"{self._folder / "data"}"',
            "maxmemory": str(self._memory),
            "appendonly": "yes",
            # Written before the client gets its answer: a crash loses nothing, only a
            # power cut would.
            "appendfsync": "no",
            "save": '""',
        }
        access = f"{self._access.rights} #{digest}"
        lines = [
            *(
                f"{name} {value}"
                for name, value in (self._settings | local_settings).items()
            ),
            "user default off",
            f"user {self._access.user} {access}",
        ]
        configuration = self._folder / "valkey.conf"
        configuration.write_text("\n".join(lines) + "\n")
        process = self._server = SupervisedProcess(
            [str(self._program), str(configuration)], log=self.log_path
        )
        wait_until(
            lambda: _answers(socket.AF_UNIX, str(self._socket)),
            process,
            what="Valkey",
            seconds=START_SECONDS,
        )

    def _start_tls_proxy(self) -> None:
        issued: Certificate = self._authority.issue("valkey", self._names)
        process = self._tls_proxy = SupervisedProcess(
            [
                *(sys.executable, "-I", "-S", str(TLS_PROXY)),
                *("127.0.0.1", str(self._port), str(self._socket)),
                *(str(issued.certificate_path), str(issued.key_path)),
            ],
            log=self._folder / "valkey-tls.log",
        )
        wait_until(
            lambda: _answers(socket.AF_INET, ("127.0.0.1", self._port)),
            process,
            what="the TLS listener of Valkey",
            seconds=START_SECONDS,
        )


def _answers(family: socket.AddressFamily, address: str | tuple[str, int]) -> bool:
    with socket.socket(family) as probe:
        try:
            probe.connect(address)
        except OSError:
            return False
    return True
