"""The operator's options of Airflow and environment variables, when a container starts.

Both are JSON objects in a variable of the task definition. A member with a text is for
every component; an object is for the component or the pool of its name, and replaces
what is for all::

    {"core.default_task_retries": "3", "worker": {"logging.logging_level": "DEBUG"},
     "pool spot": {"core.default_task_retries": "9"}}

The options become the file that ``AIRFLOW_CONFIG`` names. Health checks and shells
inherit nothing from the container's command, and read that file like every other
process. What the task definition sets stays: Airflow prefers variables to the file.
"""

from __future__ import annotations

import json
import os
from configparser import ConfigParser
from configparser import Error as ConfigError
from pathlib import Path
from typing import TYPE_CHECKING

from fargate_runtime.airflow_metrics.options import METRICS_OPTIONS
from fargate_runtime.contract import POOL_TARGET, SECRETS_BACKEND, Env

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

SHAPE = '{"NAME": "value", "worker": {"NAME": "value"}}'


def set_variables(environ: MutableMapping[str, str]) -> None:
    """Set the operator's variables; one that is set already stays.

    Raises ValueError unless they are a JSON object of texts.
    """
    for name, value in _members(environ, Env.OPERATOR_VARIABLES).items():
        environ.setdefault(name, value)


def write_options(environ: Mapping[str, str]) -> None:
    """Write the options to the file ``AIRFLOW_CONFIG``.

    A configuration file of the image comes first, then the options of the metrics and
    defaults of the templates, and the operator's options last. Raises ValueError unless
    those are a JSON object of texts, each named section.option, and that file can be
    read.
    """
    path = environ.get(Env.AIRFLOW_CONFIG, "")
    if not path:
        return
    file = ConfigParser(interpolation=None, delimiters=("=",))
    try:
        file.read(Path(environ.get("AIRFLOW_HOME", "")) / "airflow.cfg")
        if environ.get(Env.AIRFLOW_METRICS) == "true":
            _set(file, METRICS_OPTIONS, "metrics")
        _set(file, _secrets_backend(environ), "secrets")
        for variable in (Env.DEFAULT_OPTIONS, Env.AIRFLOW_OPTIONS):
            _set(file, _members(environ, variable), variable)
    except ConfigError as error:
        raise ValueError(f"the image's airflow.cfg: {error}") from error
    # The containers of a task may share the folder, and start at the same time.
    new = Path(f"{path}.{os.urandom(8).hex()}")
    with new.open("w", encoding="utf-8") as opened:
        file.write(opened)
    new.replace(path)


def _set(file: ConfigParser, options: Mapping[str, str], source: str) -> None:
    for name, value in options.items():
        section, _, option = name.rpartition(".")
        if not section:
            raise ValueError(f"{source}: {name!r} is not section.option")
        if not file.has_section(section):
            file.add_section(section)
        # Airflow takes a single % for the beginning of another option.
        file.set(section, option, value.replace("%", "%%"))


def _secrets_backend(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the options by which Airflow looks for secrets below the prefix."""
    prefix = environ.get(Env.SECRETS_PREFIX, "")
    if not prefix or environ.get(Env.ENABLE_SECRETS_AT_PARSING) == "false":
        return {}
    arguments = json.dumps({"prefix": prefix})
    return {
        "secrets.backend": SECRETS_BACKEND,
        "secrets.backend_kwargs": arguments,
    }


def _members(environ: Mapping[str, str], variable: str) -> dict[str, str]:
    """Return the members for this container, those for all replaced by its own."""
    text = environ.get(variable, "")
    if not text:
        return {}
    try:
        document = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{variable} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise ValueError(f"{variable} is not an object such as {SHAPE}")  # noqa: TRY004 - the text is wrong
    members = {k: v for k, v in document.items() if not isinstance(v, dict)}
    pool = environ.get(Env.WORKER_POOL, "")
    for target in (environ.get(Env.COMPONENT, ""), pool and POOL_TARGET + pool):
        own = document.get(target, {})
        members |= own if isinstance(own, dict) else {}
    for name, value in members.items():
        if not isinstance(value, str):
            raise ValueError(f"{variable}: the value of {name} is no text")  # noqa: TRY004 - as above
    return members
