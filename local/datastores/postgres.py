"""PostgreSQL as Aurora shows it to a client: forced TLS, and a master who is no root.

Real: the server, of the major version that the templates ask for; TLS and
``verify-full``; passwords by SCRAM; refused plain connections, in the server's own
words, which are those of RDS; the values of the parameter group that PostgreSQL
knows; ``max_connections``; a master user with CREATEROLE and CREATEDB who is no
superuser, so that a statement that Aurora would refuse is refused here.

Stand-ins: ``rdsadmin`` is the superuser that RDS keeps to itself (it may not log in
here at all), ``rds_superuser`` a role with the memberships that PostgreSQL offers for
it (RDS's own extensions are missing), ``rds.force_ssl`` a setting that is shown and
obeyed by our rules of access. There are no Aurora storage, no reader, no failover and
no IAM login, and a power cut may lose data.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from local.datastores.certificates import Authority, Certificate
from local.datastores.processes import Kept, free_port, owned, unprivileged
from local.datastores.readiness import Endpoint, quoted, wait_until
from local.datastores.venvs import postgres_programs
from local.errors import DatastoreError

SUPERUSER = "rdsadmin"
SUPERUSER_ROLE = "rds_superuser"
MEMBERSHIPS = ("pg_monitor", "pg_signal_backend", "pg_checkpoint")
"""What RDS gives its rds_superuser and PostgreSQL has under the same name."""

MASTER_RIGHTS = "NOSUPERUSER CREATEROLE CREATEDB LOGIN"

MAINTENANCE_DATABASE = "postgres"
FORCE_TLS = "rds.force_ssl"

START_SECONDS = 30
ATTEMPTS = 5
"""To find a port that stays free, and to wait for the children of a killed server."""
ATTEMPT_PAUSE_SECONDS = 0.5
WORTH_ANOTHER_ATTEMPT = ("Address already in use", "shared memory block")

ENVIRON = {"LC_ALL": "C", "PATH": os.defpath, "TZ": "GMT"}
"""The caller's PG... variables and its time zone are not the server's business."""


class Postgres:
    """One server. ``start`` it in a folder of its own; the data stays there."""

    def __init__(
        self,
        *,
        authority: Authority,
        master_user: str,
        master_password: str,
        settings: Mapping[str, str],
        max_connections: int,
        names: Iterable[str] = (),
    ) -> None:
        """Describe the server.

        ``settings`` is the compiled parameter group, ``names`` are those that clients
        use besides localhost. ``master_password`` may be changed later; it counts from
        the next start.
        """
        self._authority = authority
        self._master_user = master_user
        self.master_password = master_password
        self._settings = dict(settings)
        self._max_connections = max_connections
        self._names = tuple(names)
        self._folder = Path()
        self._programs = Path()
        self._port = 0
        self._process: Kept | None = None

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs."""
        return self._process.pid if self._process and self._process.is_running else None

    @property
    def log_path(self) -> Path:
        """What the server and its set-up said."""
        return self._folder / "postgres.log"

    def start(self, folder: Path) -> Endpoint:
        """Start the server in ``folder``, with the data that is there or none."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder.resolve()
        self._programs = postgres_programs()
        if not (self._data / "PG_VERSION").exists():
            shutil.rmtree(self._data, ignore_errors=True)
            self._make_data()
        self._port = free_port()
        return self.restart()

    def restart(self) -> Endpoint:
        """Stop the server if it runs, and start it at the same address.

        The master's password is set to what it should be, as RDS sees to.
        """
        self.stop()
        self._configure()
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._make_roles()
                self._launch()
                break
            except DatastoreError as error:
                passing = any(words in str(error) for words in WORTH_ANOTHER_ATTEMPT)
                if attempt == ATTEMPTS or not passing:
                    raise
                time.sleep(ATTEMPT_PAUSE_SECONDS)
        return Endpoint("127.0.0.1", self._port, self._authority.ca_path)

    def stop(self) -> None:
        """End every connection and the server; safe to repeat."""
        if self._process:
            self._process.stop()
            self._process = None

    def kill(self) -> None:
        """End the server as a crash would; ``restart`` recovers the data."""
        if self._process:
            self._process.kill()
            self._process = None

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _make_data(self) -> None:
        self._data.mkdir(mode=0o700)
        owned(self._data)
        self._run(
            "initdb",
            *("--pgdata", str(self._data), "--username", SUPERUSER),
            # What Aurora uses. The built-in collation needs no locale of this machine.
            *(
                "--encoding=UTF8",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
            ),
            *("--auth=reject", "--no-sync", "--no-instructions"),
        )

    def _configure(self) -> None:
        issued = self._authority.issue("postgres", self._names)
        kept = Certificate(
            certificate_path=self._data / "server.crt",
            key_path=self._data / "server.key",
        )
        shutil.copyfile(issued.certificate_path, kept.certificate_path)
        kept.key_path.unlink(missing_ok=True)
        shutil.copy(issued.key_path, kept.key_path)
        ours = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": str(self._max_connections),
            "ssl": "on",
            "ssl_min_protocol_version": "TLSv1.2",
            "password_encryption": "scram-sha-256",
            "log_line_prefix": "%m [%p] %u@%d ",
            "timezone": "GMT",
            "log_timezone": "GMT",
            # One machine with two cores, and nothing that must survive a power cut.
            "shared_buffers": "64MB",
            "fsync": "off",
        }
        forced = self._settings.get(FORCE_TLS, "0") == "1"
        # The parameter group first: it cannot take away what makes us local.
        (self._data / "postgresql.auto.conf").write_text(quoted(self._settings | ours))
        (self._data / "pg_hba.conf").write_text(
            f"host all {SUPERUSER} all reject\n"
            f"{'hostssl' if forced else 'host'} all all 127.0.0.1/32 scram-sha-256\n"
        )
        owned(self._data)

    def _make_roles(self) -> None:
        user, password = self._master_user, self.master_password
        memberships = ", ".join(MEMBERSHIPS)
        statements = [
            _unless_role(SUPERUSER_ROLE, f"CREATE ROLE {SUPERUSER_ROLE} NOLOGIN"),
            f"GRANT {memberships} TO {SUPERUSER_ROLE} WITH ADMIN OPTION",
            _unless_role(user, f"CREATE ROLE {_name(user)}"),
            f"ALTER ROLE {_name(user)} WITH {MASTER_RIGHTS} PASSWORD {_text(password)}",
            f"GRANT {SUPERUSER_ROLE} TO {_name(user)} WITH ADMIN OPTION",
            f"ALTER DATABASE {MAINTENANCE_DATABASE} OWNER TO {_name(user)}",
        ]
        # Alone on the data, before anybody can connect: no way in has to be open.
        self._run(
            "postgres",
            *("--single", "-j", "-D", str(self._data), "-c", "exit_on_error=on"),
            # The statement below holds the password, and so would the log of a failure.
            *("-c", "log_min_error_statement=panic", MAINTENANCE_DATABASE),
            # -j: a statement ends with a semicolon and an empty line.
            text="".join(f"{statement};\n\n" for statement in statements),
        )

    def _launch(self) -> None:
        process = self._process = Kept(
            self._command("postgres", "-D", str(self._data), "-p", str(self._port)),
            log=self.log_path,
            stop_signal=signal.SIGINT,
            environ=ENVIRON,
        )
        try:
            wait_until(
                lambda: _is_ready(self._data / "postmaster.pid", process.pid),
                process,
                what="PostgreSQL",
                seconds=START_SECONDS,
            )
        except DatastoreError:
            self.stop()
            raise

    def _command(self, program: str, *arguments: str) -> Sequence[str]:
        return unprivileged([str(self._programs / program), *arguments])

    def _run(self, program: str, *arguments: str, text: str = "") -> None:
        done = subprocess.run(  # noqa: S603 - our own programs
            self._command(program, *arguments),
            input=text,
            env=ENVIRON,
            # Anywhere a plain user may be.
            cwd="/",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        with self.log_path.open("a") as log:
            log.write(done.stdout)
        if done.returncode:
            last = " / ".join(done.stdout.strip().splitlines()[-3:])
            raise DatastoreError(f"{program} failed: {last}")


def _is_ready(status: Path, pid: int) -> bool:
    """Whether the server's status file says so, and is not one that a crash left."""
    try:
        lines = status.read_text().splitlines()
    except FileNotFoundError:
        return False
    return lines[:1] == [str(pid)] and lines[-1].strip() == "ready"


def _unless_role(role: str, statement: str) -> str:
    return (
        f"DO $do$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = "
        f"{_text(role)}) THEN {statement}; END IF; END $do$"
    )


def _name(identifier: str) -> str:
    return '"{}"'.format(identifier.replace('"', '""'))


def _text(value: str) -> str:
    return "'{}'".format(value.replace("'", "''"))
