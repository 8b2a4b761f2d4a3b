"""Prepare the environment of a container's command, then execute the command.

``bootstrap`` calls it from the checked archive, so it may grow; ``bootstrap`` may not.
A shell, which inherits nothing from that command, starts with the same environment by
``python -m fargate_runtime.start bash``.
"""

from __future__ import annotations

import os
import pkgutil
import re
import sys
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from fargate_runtime import connections, keys, operator_settings, single_sign_on
from fargate_runtime.airflow_version import UnsupportedAirflowError, check_own
from fargate_runtime.contract import Env
from fargate_runtime.env import EnvError

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping, Sequence

LIMITS = (
    "AIRFLOW__CORE__PARALLELISM",
    "AIRFLOW__CORE__DEFAULT_POOL_TASK_SLOT_COUNT",
)
"""Set to the sum of all slots; with less, tasks would wait while workers idle."""

SETTINGS = {
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": connections.metadata,
    "AIRFLOW__CELERY__BROKER_URL": connections.broker,
    "AIRFLOW__CELERY__RESULT_BACKEND": connections.results,
    "AIRFLOW__CORE__FERNET_KEY": keys.fernet,
}
"""Setting -> function that returns what its command prints.

Airflow starts the command of a setting each time that it reads it: a scheduler 16
times until it runs, an API server 9 times, 40 ms each on an idle machine (measured
locally). A health check or a shell, which inherits none of this, uses the command.
"""

CERTIFICATE_HEADING = "# Amazon RDS "
"""Begins the line before each certificate of the bundle; the region follows."""


def start(command: Sequence[str]) -> NoReturn:
    """Replace this process by ``command``, once its settings and files are there.

    Exits with status 1 and one line when that is impossible.
    """
    if not command:
        sys.exit("runtime: no command to start")
    try:
        check_own()
        operator_settings.set_variables(os.environ)
        operator_settings.write_options(os.environ)
        set_limits(os.environ)
        set_settings(os.environ)
        single_sign_on.configure(os.environ)
        write_certificates(os.environ)
        # The process that becomes the command publishes Airflow's metrics.
        os.environ[Env.METRICS_PROCESS] = str(os.getpid())
        os.execvp(command[0], list(command))  # noqa: S606 - no shell is the point
    except (UnsupportedAirflowError, OSError, EnvError, ValueError) as error:
        sys.exit(f"runtime: cannot start {command[0]}: {error}")


def set_limits(environ: MutableMapping[str, str]) -> None:
    """Let Airflow run as many task instances at once as all workers can.

    A limit that is set already stays. Raises ValueError unless the slots are a sum.
    """
    if not (text := environ.get(Env.WORKER_SLOTS, "")):
        return
    if not re.fullmatch(r"\d+(\*\d+)*(\+\d+(\*\d+)*)*", text, re.ASCII):
        raise ValueError(f"{Env.WORKER_SLOTS} is {text!r}, not a sum such as 10*8+25*4")
    slots = sum(prod(map(int, term.split("*"))) for term in text.split("+"))
    for name in LIMITS:
        environ.setdefault(name, str(slots))


def set_settings(environ: MutableMapping[str, str]) -> None:
    """Set the values for which Airflow would start a command; raises EnvError.

    Values hold neither ``$`` nor a leading ``~``, which Airflow would expand. A
    setting that is set already stays.
    """
    for name, value in SETTINGS.items():
        if f"{name}_CMD" in environ and name not in environ:
            environ[name] = value(environ)


def write_certificates(environ: Mapping[str, str]) -> None:
    """Write the certificate authorities of RDS to the file ``PGSSLROOTCERT``.

    A file that is there already is the operator's own and stays; a word such as
    ``system`` is no file.
    """
    path = environ.get(Env.PGSSLROOTCERT, "")
    if not Path(path).is_absolute() or Path(path).exists():
        return
    bundle = pkgutil.get_data("fargate_runtime", "rds-ca.pem") or b""
    # The containers of a task may share the folder, and number processes alike.
    new = Path(f"{path}.{os.urandom(8).hex()}")
    new.write_text(of_region(bundle.decode(), environ.get("AWS_REGION", "")))
    new.replace(path)


def of_region(bundle: str, region: str) -> str:
    """Return the authorities of one region, or the bundle if it names none of them.

    To read them all would cost 12 ms a connection.
    """
    certificates = (
        CERTIFICATE_HEADING + certificate
        for certificate in bundle.split(CERTIFICATE_HEADING)[1:]
        if certificate.startswith(f"{region} ")
    )
    return "".join(certificates) or bundle


if __name__ == "__main__":
    start(sys.argv[1:])
