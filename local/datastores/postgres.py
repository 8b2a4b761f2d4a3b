"""PostgreSQL in place of Aurora: TLS only, and a master user who is no superuser.

Real: the server, of the templates' major version; TLS and ``verify-full``; passwords by
SCRAM; refused plain connections, with the message of RDS; the values of the parameter
group that PostgreSQL knows; ``max_connections``; a master user with CREATEROLE and
CREATEDB who is no superuser, so that statements that Aurora refuses are refused here.

Stubs: ``rdsadmin`` is the superuser that RDS reserves (it cannot log in here),
``rds_superuser`` a role with the memberships that PostgreSQL offers for it (without
RDS's own extensions), ``rds.force_ssl`` a setting that pg_hba.conf enforces. There are
no Aurora storage, no reader, no failover and no IAM login, and a power cut may lose
data.
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
from local.datastores.processes import SupervisedProcess, free_port, owned, unprivileged
from local.datastores.readiness import DatastoreEndpoint, quoted, wait_until
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
"""For a port that stays free, and for the children of a killed server to end."""
ATTEMPT_PAUSE_SECONDS = 0.5
WORTH_ANOTHER_ATTEMPT = ("Address already in use", "shared memory block")

ENVIRON = {"LC_ALL": "C", "PATH": os.defpath, "TZ": "GMT"}
"""Without the caller's PG... variables and time zone."""


class Postgres:
    """One server. ``start`` it in its own folder; the data stays there."""

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

        ``settings`` is the compiled parameter group, ``names`` are host names that
        clients use besides localhost. A later change of ``master_password`` takes
        effect at the next start.
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
        self._process: SupervisedProcess | None = None

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs."""
        return self._process.pid if self._process and self._process.is_running else None

    @property
    def log_path(self) -> Path:
        """Output of the server and of its set-up."""
        return self._folder / "postgres.log"

    def start(self, folder: Path) -> DatastoreEndpoint:
        """Start the server in ``folder``, with existing data or none."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder.resolve()
        self._programs = postgres_programs()
        if not (self._data / "PG_VERSION").exists():
            shutil.rmtree(self._data, ignore_errors=True)
            self._make_data()
        self._port = free_port()
        return self.restart()

    def restart(self) -> DatastoreEndpoint:
        """Stop the server if it runs, and start it at the same address.

        It also sets the master's password, as RDS does.
        """
        self.stop()
        self._configure()
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._make_roles()
                self._launch()
                break
            except DatastoreError as error:
                is_transient = any(
                    words in str(error) for words in WORTH_ANOTHER_ATTEMPT
                )
                if attempt == ATTEMPTS or not is_transient:
                    raise
                time.sleep(ATTEMPT_PAUSE_SECONDS)
        return DatastoreEndpoint("127.0.0.1", self._port, self._authority.ca_path)

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
        server_certificate = Certificate(
            certificate_path=self._data / "server.crt",
            key_path=self._data / "server.key",
        )
        shutil.copyfile(issued.certificate_path, server_certificate.certificate_path)
        server_certificate.key_path.unlink(missing_ok=True)
        shutil.copy(issued.key_path, server_certificate.key_path)
        local_settings = {
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
        is_forced = self._settings.get(FORCE_TLS, "0") == "1"
        # The local settings override the parameter group.
        (self._data / "postgresql.auto.conf").write_text(
            quoted(self._settings | local_settings)
        )
        (self._data / "pg_hba.conf").write_text(
            f"host all {SUPERUSER} all reject\n"
            f"{'hostssl' if is_forced else 'host'} all all 127.0.0.1/32 scram-sha-256\n"
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
        # In single-user mode, before any client can connect.
        self._run(
            "postgres",
            *("--single", "-j", "-D", str(self._data), "-c", "exit_on_error=on"),
            # The statement below holds the password, and so would the log of a failure.
            *("-c", "log_min_error_statement=panic", MAINTENANCE_DATABASE),
            # -j: a statement ends with a semicolon and an empty line.
            text="".join(f"{statement};\n\n" for statement in statements),
        )

    def _launch(self) -> None:
        process = self._process = SupervisedProcess(
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
        result = subprocess.run(  # noqa: S603 - pinned programs
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
            log.write(result.stdout)
        if result.returncode:
            last = " / ".join(result.stdout.strip().splitlines()[-3:])
            raise DatastoreError(f"{program} failed: {last}")


def _is_ready(status: Path, pid: int) -> bool:
    """Return whether the server's status file says ready, and is of this process."""
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
