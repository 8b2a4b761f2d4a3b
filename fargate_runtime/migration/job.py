"""The migration job's task: everything that must be true before a service starts.

Run as ``python -m fargate_runtime.migration.job``, once for each version, before any service of
that version. It waits for the database, makes the roles and databases, migrates
Airflow's tables under Airflow's own lock, lets the autoscaler read some of them and
creates the first administrator. To run it again changes nothing but passwords that
have changed.

Its last line is ``MIGRATION DONE`` or ``MIGRATION FAILED: `` and the reason, which
``gate`` puts into the stack's event. No line holds a secret.

Environment: ``METADATA_*`` and ``RESULTS_*`` as for ``connections``;
``MASTER_USER`` and ``MASTER_PASSWORD``, kept by RDS; ``SCALING_USER`` and
``SCALING_PASSWORD``, the role of the autoscaler; ``ADMIN_USER`` and
``ADMIN_PASSWORD``, the first login of the web page; Airflow's own configuration.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import traceback
from collections import deque
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from threading import Timer
from typing import TYPE_CHECKING
from urllib.parse import quote

from fargate_runtime import airflow_version
from fargate_runtime.airflow_version import ImageError
from fargate_runtime.env import PartError, host, part, port
from fargate_runtime.migration.databases import (
    DatabaseError,
    Login,
    prepare,
    scaling_login,
)
from fargate_runtime.migration.scaling_role import admit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FAILED = "MIGRATION FAILED: "
DONE = "MIGRATION DONE"

NEEDED = (
    "apache-airflow-providers-celery",
    "apache-airflow-providers-fab",
    "apache-airflow-providers-amazon",
)

MAINTENANCE_DATABASE = "postgres"
"""Where the master user connects: every PostgreSQL has it, and nothing of ours."""

MIGRATION_SECONDS = 40 * 60
"""A large table takes its time; ``gate`` gives up after 50 minutes in all."""

ADMIN_SECONDS = 5 * 60

KEPT_LINES = 20
"""How much of a command's output is searched for its reason to fail."""

NEWER_TABLES = "Can't locate revision"
"""What Alembic says of tables that a later version has migrated."""

SECRET_NAMES = ("PASSWORD", "SECRET", "SECRET_PREVIOUS", "SECRET_KEY")
"""How the names of variables end that hold secrets."""

FOR_SETUP_ALONE = (
    *("MASTER_USER", "MASTER_PASSWORD", "ADMIN_PASSWORD"),
    *("SCALING_USER", "SCALING_PASSWORD"),
)
"""What Airflow's own commands have no business with."""


class MigrationError(Exception):
    """Set-up cannot go on; the message is for the person who launched the stack."""


class Log:
    """Lines on standard output, without the secrets of the environment."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        plain = {
            value
            for name, value in environ.items()
            if name.endswith(SECRET_NAMES) and value
        }
        forms = plain | {quote(value, "") for value in plain}
        # The longest first: one secret may begin another.
        self._secrets = sorted(forms, key=len, reverse=True)

    def clean(self, text: str) -> str:
        """Return ``text`` with every secret replaced."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def say(self, text: str) -> None:
        """Print one line at once."""
        sys.stdout.write(" ".join(self.clean(text).split()) + "\n")
        sys.stdout.flush()


def check_image() -> None:
    """Refuse an image that the templates are not made for, before it migrates."""
    try:
        airflow_version.check(version(airflow_version.PACKAGE))
    except PackageNotFoundError:
        raise MigrationError("the image holds no Airflow 3") from None
    for package in NEEDED:
        try:
            version(package)
        except PackageNotFoundError:
            raise MigrationError(f"the image lacks {package}") from None


def login(environ: Mapping[str, str], store: str) -> Login:
    """Return how the role of ``store`` (METADATA or RESULTS) reaches its database."""
    return Login(
        host=host(environ, f"{store}_HOST"),
        port=port(environ, f"{store}_PORT"),
        name=part(environ, f"{store}_NAME"),
        user=part(environ, f"{store}_USER"),
        password=part(environ, f"{store}_PASSWORD"),
    )


def master_login(environ: Mapping[str, str]) -> Login:
    """Return how the master user of RDS reaches the server of the metadata."""
    return Login(
        host=host(environ, "METADATA_HOST"),
        port=port(environ, "METADATA_PORT"),
        name=MAINTENANCE_DATABASE,
        user=part(environ, "MASTER_USER"),
        password=part(environ, "MASTER_PASSWORD"),
    )


def run(
    command: Sequence[str],
    environ: Mapping[str, str],
    log: Log,
    *,
    limit: float,
    answers: str = "",
) -> None:
    """Run ``command``, relay its output, raise MigrationError unless it succeeds.

    ``limit`` is in seconds. ``answers`` is typed in: an argument would be seen by
    every process of the container.
    """
    shown = " ".join(command[:3])
    inherited = {k: v for k, v in environ.items() if k not in FOR_SETUP_ALONE}
    kept: deque[str] = deque(maxlen=KEPT_LINES)
    with subprocess.Popen(  # noqa: S603 - the commands are written below
        command,
        env=inherited,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        # A group of its own, so that all of it can be stopped; and no terminal,
        # so that a question is answered from ``answers``.
        start_new_session=True,
    ) as process:
        late = Timer(limit, os.killpg, (process.pid, signal.SIGKILL))
        late.start()
        try:
            if process.stdin and process.stdout:
                # It may have ended without a question; its status tells.
                with suppress(BrokenPipeError):
                    process.stdin.write(answers)
                    process.stdin.close()
                for line in process.stdout:
                    log.say(line)
                    if line.strip():
                        kept.append(line.strip())
            status = process.wait()
        finally:
            late.cancel()
    if status == -signal.SIGKILL:
        raise MigrationError(
            f"{shown} was stopped after {limit:.0f} s or ran out of memory"
        )
    if status:
        last = kept[-1] if kept else "it said nothing"
        raise MigrationError(f"{shown} ended with exit status {status}: {last}")


def migrate(environ: Mapping[str, str], log: Log) -> None:
    """Bring Airflow's tables to the version of the image."""
    try:
        run(["airflow", "db", "migrate"], environ, log, limit=MIGRATION_SECONDS)
    except MigrationError as error:
        if NEWER_TABLES not in str(error):
            raise
        raise MigrationError(
            "a newer Airflow than the image's has migrated the tables; use its "
            "version, or restore the snapshot from before it"
        ) from error


def create_admin(environ: Mapping[str, str], log: Log) -> None:
    """Create the first administrator; one who exists keeps the present password."""
    user, password = part(environ, "ADMIN_USER"), part(environ, "ADMIN_PASSWORD")
    if "\n" in password:
        raise MigrationError("ADMIN_PASSWORD holds a line break, which nobody can type")
    run(
        [
            *("airflow", "users", "create", "--role", "Admin", "--username", user),
            *("--firstname", "Airflow", "--lastname", "Administrator"),
            # Airflow wants an address and sends nothing to it by itself.
            *("--email", f"{user}@example.com"),
        ],
        environ,
        log,
        limit=ADMIN_SECONDS,
        answers=f"{password}\n{password}\n",
    )


def set_up(environ: Mapping[str, str], log: Log) -> None:
    """Do all of it in order; raises what stopped it."""
    check_image()
    part(environ, "ADMIN_USER")
    part(environ, "ADMIN_PASSWORD")
    master, airflow = master_login(environ), login(environ, "METADATA")
    reader = scaling_login(environ)
    prepare(master, airflow, login(environ, "RESULTS"), log.say)
    migrate(environ, log)
    admit(master, airflow, reader, log.say)
    create_admin(environ, log)


def main() -> int:
    """Return the exit status of the task: 0, or 1 with the reason as last line."""
    log = Log(os.environ)
    try:
        set_up(os.environ, log)
    except (DatabaseError, ImageError, PartError, MigrationError) as error:
        reason = str(error)
    except Exception as error:  # noqa: BLE001 - the last line must come, whatever it is
        for line in traceback.format_exc().splitlines():
            log.say(line)
        reason = f"unexpected {type(error).__name__}: {error}"
    else:
        log.say(DONE)
        return 0
    log.say(FAILED + reason)
    return 1


if __name__ == "__main__":
    sys.exit(main())
