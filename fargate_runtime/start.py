"""The last step before a container's command: what ``bootstrap`` calls.

It runs from the checked archive, so it may grow; ``bootstrap`` may not.
"""

from __future__ import annotations

import os
import pkgutil
import re
import sys
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from fargate_runtime import connections, keys
from fargate_runtime.airflow_version import ImageError, check_own
from fargate_runtime.env import PartError

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping, Sequence

SLOTS = "WORKER_SLOTS"
"""Task instances that the workers of all pools can run at once, as a sum of products:
``10*8+25*4``. CloudFormation knows the numbers and cannot calculate."""

LIMITS = (
    "AIRFLOW__CORE__PARALLELISM",
    "AIRFLOW__CORE__DEFAULT_POOL_TASK_SLOT_COUNT",
)
"""What follows from it; with less, tasks would wait while workers idle."""

SETTINGS = {
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": connections.metadata,
    "AIRFLOW__CELERY__BROKER_URL": connections.broker,
    "AIRFLOW__CELERY__RESULT_BACKEND": connections.results,
    "AIRFLOW__CORE__FERNET_KEY": keys.fernet,
}
"""Setting -> what its command prints.

Airflow starts the command of a setting each time that it reads it: a scheduler 16
times until it runs, an API server 9 times, 40 ms each on an idle machine (counted in a
rehearsal). A health check or a shell, which inherits none of this, uses the command.
"""

NAMED = "# Amazon RDS "
"""Begins the line before each certificate of the bundle, and the region follows."""


def start(command: Sequence[str]) -> NoReturn:
    """Become ``command``, once what it needs lies in the file system.

    Exits with status 1 and one line when that is impossible.
    """
    if not command:
        sys.exit("runtime: no command was given to start")
    try:
        check_own()
        set_limits(os.environ)
        set_settings(os.environ)
        keep_certificates(os.environ)
        os.execvp(command[0], list(command))  # noqa: S606 - no shell is the point
    except (ImageError, OSError, PartError, ValueError) as error:
        sys.exit(f"runtime: cannot start {command[0]}: {error}")


def set_limits(environ: MutableMapping[str, str]) -> None:
    """Let Airflow run as many task instances at once as all workers can.

    A limit that is set already stays. Raises ValueError where ``SLOTS`` is no sum.
    """
    if not (text := environ.get(SLOTS, "")):
        return
    if not re.fullmatch(r"\d+(\*\d+)*(\+\d+(\*\d+)*)*", text, re.ASCII):
        raise ValueError(f"{SLOTS} is {text!r}, not a sum such as 10*8+25*4")
    slots = sum(prod(map(int, term.split("*"))) for term in text.split("+"))
    for name in LIMITS:
        environ.setdefault(name, str(slots))


def set_settings(environ: MutableMapping[str, str]) -> None:
    """Say once what Airflow would start a command for; raises PartError.

    No value changes on the way: they hold neither ``$`` nor a leading ``~``, which
    Airflow would expand. One that is set already stays.
    """
    for name, made in SETTINGS.items():
        if f"{name}_CMD" in environ and name not in environ:
            environ[name] = made(environ)


def keep_certificates(environ: Mapping[str, str]) -> None:
    """Write the database's certificate authorities where libpq and asyncpg look.

    The place is ``PGSSLROOTCERT``. A file that is there already is the
    operator's own and stays; a word such as ``system`` is no file.
    """
    wanted = environ.get("PGSSLROOTCERT", "")
    if not Path(wanted).is_absolute() or Path(wanted).exists():
        return
    bundle = pkgutil.get_data("fargate_runtime", "rds-ca.pem") or b""
    new = Path(f"{wanted}.{os.getpid()}")
    new.write_text(of_region(bundle.decode(), environ.get("AWS_REGION", "")))
    new.replace(wanted)


def of_region(bundle: str, region: str) -> str:
    """Return the authorities of one region, or the bundle if it names none of them.

    To read them all would cost 12 ms a connection.
    """
    found = [
        certificate
        for certificate in bundle.split(NAMED)[1:]
        if certificate.startswith(f"{region} ")
    ]
    return "".join(NAMED + certificate for certificate in found) or bundle
