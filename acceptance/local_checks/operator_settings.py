"""The operator's options, variables and secrets, in every container and in the UI."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from acceptance.api import api
from acceptance.check import CheckFailed
from acceptance.containers import with_environ
from acceptance.store_probe import ask
from local.airflow_environment import airflow_environment
from local.environment import LocalEnvironment

MAIN = Path(__file__).parents[1] / "option_probe_main.py"
SECONDS = 60.0

SECRET_NAME = "verify/settings"  # noqa: S105 - the name of a secret
SECRET_VALUE = json.dumps({"token": "verify-settings-9f2c"})
SECRETS = {SECRET_NAME: SECRET_VALUE}
"""Secrets of the operator, which must be there before the launch."""

HOST, TIMEOUT = "smtp.smtp_host", "smtp.smtp_timeout"
VARIABLE, SECRET_VARIABLE = "VERIFY_SETTING", "VERIFY_SECRET"

OPTIONS = {
    HOST: "mail%d.example.com",
    "worker": {TIMEOUT: "31"},
    "pool spot": {TIMEOUT: "32"},
}
VARIABLES = {VARIABLE: 'for "all"', "triggerer": {VARIABLE: "for one"}}
POOL_SLOTS = "AIRFLOW__CORE__DEFAULT_POOL_TASK_SLOT_COUNT"
WITH_SECRET = ("scheduler", "worker")
"""Components with the secret variable."""

PARAMETERS = {
    "Airflow": json.dumps(OPTIONS),
    "Environment": json.dumps(VARIABLES),
    "SecretEnvironment": json.dumps(
        {name: {SECRET_VARIABLE: f"<{SECRET_NAME}>:token"} for name in WITH_SECRET},
        separators=(",", ":"),
    ),
}
"""Nothing sends mail, so these change no other check."""

DEFAULT_TIMEOUT = "30"
TIMEOUTS = {"spot": "32", "default": "31"}
WITHOUT = ("autoscaler", "verification")
"""Components that do not run Airflow."""


def agree(environment: LocalEnvironment) -> str:
    """Compare options, variables and secrets of every container with the parameters.

    The main process of a container is the image's dumb-init, which has the environment
    of the task definition, as health checks and shells have. Options are read with it;
    variables in a shell that starts as the container's command does.
    """
    containers = [
        (container, environ)
        for container, environ in with_environ(environment)
        if container.name not in WITHOUT
    ]
    read = _options([environ for _, environ in containers])
    wrong: list[str] = []
    for (container, environ), (host, timeout) in zip(containers, read, strict=True):
        name = container.name
        expected = {
            HOST: (host, OPTIONS[HOST]),
            TIMEOUT: (
                timeout,
                TIMEOUTS.get(environ.get("WORKER_POOL", ""), DEFAULT_TIMEOUT),
            ),
            VARIABLE: (
                _after_start(environ, VARIABLE),
                "for one" if name == "triggerer" else VARIABLES[VARIABLE],
            ),
            SECRET_VARIABLE: (
                environ.get(SECRET_VARIABLE),
                json.loads(SECRET_VALUE)["token"] if name in WITH_SECRET else None,
            ),
        }
        wrong += [
            f"{name}: {setting} is {actual!r}, not {value!r}"
            for setting, (actual, value) in expected.items()
            if actual != value
        ]
    (slots,) = {
        _after_start(environ, POOL_SLOTS)
        for container, environ in containers
        if container.name == "scheduler"
    }
    pool = api(environment).get("/pools/default_pool")
    if str(pool["slots"]) != slots or not pool["description"].endswith(f": {slots}"):
        wrong.append(
            f"default_pool has {pool['slots']} slots and is described as "
            f"{pool['description']!r}; all workers have {slots}"
        )
    ui = api(environment).ui("/config")
    if ui["instance_name"] != environment.stack_name or not ui["theme"]:
        wrong.append(f"the UI is called {ui['instance_name']}, theme {ui['theme']}")
    if wrong:
        raise CheckFailed(
            "; ".join(wrong), "Look at fargate_runtime/operator_settings.py."
        )
    names = ", ".join(sorted({container.name for container, _ in containers}))
    return (
        f"{len(containers)} containers ({names}): options in shells, variables and "
        f"secrets as set; the UI is called {ui['instance_name']} and has a colour; "
        f"default_pool has the {slots} slots of all workers"
    )


def _after_start(environ: Mapping[str, str], variable: str) -> str:
    """Return what the container's start makes of a variable.

    Not what a process holds: Celery and the API server overwrite it with their title.
    """
    done = subprocess.run(  # noqa: S603 - our own module
        [
            *(airflow_environment().python, "-m", "fargate_runtime.start"),
            *("printenv", variable),
        ],
        env=dict(environ),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return done.stdout.strip() or done.stderr.strip()


def _options(shells: Sequence[Mapping[str, str]]) -> list[tuple[str, str]]:
    environ = {
        "PATH": os.defpath,
        **{k: shells[0][k] for k in ("HOME", "AIRFLOW_HOME")},
    }
    answers = ask(MAIN, environ, [[shell, [HOST, TIMEOUT]] for shell in shells])
    return [(host, timeout) for host, timeout in answers]
