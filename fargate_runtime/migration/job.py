"""The migration job: prepare the databases before any service of a version starts.

ECS runs ``python -m fargate_runtime.migration.job`` once for each version. It checks
the image, waits for the database, creates the roles and databases, checks that the
Fernet key decrypts what is stored, asks the provider of single sign-on whether it
answers, migrates Airflow's tables under Airflow's own lock, resizes ``default_pool``,
lets the autoscaler read some tables and creates the first administrator. To run it
again changes nothing but passwords and slots that have changed.

Its last line is ``MIGRATION DONE`` or ``MIGRATION FAILED: `` and the reason, which
``custom_resource`` puts into the stack event. No line holds a secret.

Environment: ``METADATA_*`` and ``RESULTS_*`` as for ``connections``; ``MASTER_*``, the
login that RDS keeps; ``SCALING_*``, the role of the autoscaler; ``ADMIN_*``, the first
login of the Airflow UI; ``FERNET_SECRET*``; Airflow's own configuration, as ``start``
completes it.
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
from fargate_runtime.airflow_version import UnsupportedAirflowError
from fargate_runtime.contract import (
    AIRFLOW_DISTRIBUTION,
    MIGRATION_DONE,
    MIGRATION_FAILED,
    Env,
)
from fargate_runtime.env import (
    EnvError,
    autoscaler_login,
    database_login,
    master_login,
    required,
)
from fargate_runtime.migration import identity_provider
from fargate_runtime.migration.databases import DatabaseError, prepare
from fargate_runtime.migration.default_pool import resize
from fargate_runtime.migration.fernet_check import FernetKeyError, check_fernet_key
from fargate_runtime.migration.identity_provider import IdentityProviderError
from fargate_runtime.migration.scaling_role import admit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

REQUIRED_PACKAGES = (
    "apache-airflow-providers-celery",
    "apache-airflow-providers-fab",
    "apache-airflow-providers-amazon",
)

MIGRATION_SECONDS = 40 * 60
"""A large table takes its time; ``custom_resource`` gives up after 50 minutes in all.
"""

ADMIN_SECONDS = 5 * 60

IMAGE_CHECK = (sys.executable, "-m", "fargate_runtime.migration.image_check")

CHECK_SECONDS = 5 * 60
"""A plugin may import much; one that never ends must not hold up the launch."""

LAST_LINES = 20
"""How much of a command's output is searched for the reason of its failure."""

NEWER_TABLES = "Can't locate revision"
"""Alembic's message about tables that a later version has migrated."""

POOL_SLOTS = "AIRFLOW__CORE__DEFAULT_POOL_TASK_SLOT_COUNT"
"""With this many slots Airflow creates ``default_pool``: those of all workers."""

SECRET_NAMES = ("PASSWORD", "SECRET", "SECRET_PREVIOUS", "SECRET_KEY")
"""Endings of the names of variables that hold secrets."""

HIDDEN_VARIABLES = (
    *(Env.MASTER_USER, Env.MASTER_PASSWORD, Env.ADMIN_PASSWORD),
    *(Env.SCALING_USER, Env.SCALING_PASSWORD),
)
"""Variables that Airflow's own commands must not inherit."""


class MigrationJobError(Exception):
    """The job cannot continue; the message is for the operator of the stack."""


class RedactedLog:
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
    """Refuse an unsupported image before it migrates."""
    try:
        airflow_version.check(version(AIRFLOW_DISTRIBUTION))
    except PackageNotFoundError:
        raise MigrationJobError("the image holds no Airflow 3") from None
    for package in REQUIRED_PACKAGES:
        try:
            version(package)
        except PackageNotFoundError:
            raise MigrationJobError(f"the image lacks {package}") from None


def run(
    command: Sequence[str],
    environ: Mapping[str, str],
    log: RedactedLog,
    *,
    limit: float,
    answers: str = "",
) -> None:
    """Run ``command``, relay its output, raise MigrationJobError unless it succeeds.

    ``limit`` is in seconds. ``answers`` goes to standard input: an argument would be
    visible to every process of the container.
    """
    name = " ".join(command[:3])
    inherited = {k: v for k, v in environ.items() if k not in HIDDEN_VARIABLES}
    last_lines: deque[str] = deque(maxlen=LAST_LINES)
    with subprocess.Popen(  # noqa: S603 - the commands are written below
        command,
        env=inherited,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        # A process group of its own, so that all of it can be stopped; and no
        # terminal, so that a prompt reads ``answers``.
        start_new_session=True,
    ) as process:
        timeout = Timer(limit, os.killpg, (process.pid, signal.SIGKILL))
        timeout.start()
        try:
            if process.stdin and process.stdout:
                # It may have ended without a prompt; its status tells.
                with suppress(BrokenPipeError):
                    process.stdin.write(answers)
                    process.stdin.close()
                for line in process.stdout:
                    log.say(line)
                    if line.strip():
                        last_lines.append(line.strip())
            status = process.wait()
        finally:
            timeout.cancel()
    if status == -signal.SIGKILL:
        raise MigrationJobError(
            f"{name} was stopped after {limit:.0f} s or ran out of memory"
        )
    if status:
        last = last_lines[-1] if last_lines else "no output"
        raise MigrationJobError(f"{name} ended with exit status {status}: {last}")


def check_packages(environ: Mapping[str, str], log: RedactedLog) -> None:
    """Refuse an image whose packages conflict, or whose plugins do not import.

    Its services would start one after the other and fail, or run without the plugin.
    """
    try:
        run(IMAGE_CHECK, environ, log, limit=CHECK_SECONDS)
    except MigrationJobError as error:
        reason = str(error).partition("ended with exit status 1: ")[2] or str(error)
        raise MigrationJobError(f"the image is not used: {reason}") from error


def migrate(environ: Mapping[str, str], log: RedactedLog) -> None:
    """Bring Airflow's tables to the version of the image."""
    try:
        run(["airflow", "db", "migrate"], environ, log, limit=MIGRATION_SECONDS)
    except MigrationJobError as error:
        if NEWER_TABLES not in str(error):
            raise
        raise MigrationJobError(
            "a newer Airflow than the image's has migrated the tables; use its "
            "version, or restore the snapshot from before it"
        ) from error


def create_admin(environ: Mapping[str, str], log: RedactedLog) -> None:
    """Create the first administrator; one who exists keeps the present password."""
    user = required(environ, Env.ADMIN_USER)
    password = required(environ, Env.ADMIN_PASSWORD)
    if "\n" in password:
        raise MigrationJobError(f"{Env.ADMIN_PASSWORD} holds a line break")
    run(
        [
            *("airflow", "users", "create", "--role", "Admin", "--username", user),
            *("--firstname", "Airflow", "--lastname", "Administrator"),
            # Airflow requires an address and sends nothing to it by itself.
            *("--email", f"{user}@example.com"),
        ],
        environ,
        log,
        limit=ADMIN_SECONDS,
        answers=f"{password}\n{password}\n",
    )


def run_job(environ: Mapping[str, str], log: RedactedLog) -> None:
    """Run all steps in order; raises the error that stopped them."""
    check_image()
    check_packages(environ, log)
    required(environ, Env.ADMIN_USER)
    required(environ, Env.ADMIN_PASSWORD)
    master, airflow = master_login(environ), database_login(environ, "METADATA")
    reader = autoscaler_login(environ)
    prepare(master, airflow, database_login(environ, "RESULTS"), log.say)
    check_fernet_key(environ, airflow, log.say)
    identity_provider.check(environ)
    migrate(environ, log)
    resize(airflow, int(required(environ, POOL_SLOTS)), log.say)
    admit(master, airflow, reader, log.say)
    create_admin(environ, log)


def main() -> int:
    """Return the exit status of the task: 0, or 1 with the reason as last line."""
    log = RedactedLog(os.environ)
    try:
        run_job(os.environ, log)
    except (
        DatabaseError,
        FernetKeyError,
        UnsupportedAirflowError,
        EnvError,
        IdentityProviderError,
        MigrationJobError,
    ) as error:
        reason = str(error)
    except Exception as error:  # noqa: BLE001 - the last line must come
        for line in traceback.format_exc().splitlines():
            log.say(line)
        reason = f"unexpected {type(error).__name__}: {error}"
    else:
        log.say(MIGRATION_DONE)
        return 0
    log.say(MIGRATION_FAILED + reason)
    return 1


if __name__ == "__main__":
    sys.exit(main())
