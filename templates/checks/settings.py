"""Checks of the operator's options of Airflow, variables and secret variables.

Their targets, the names of options, names and values that look like secrets, and what
the templates set themselves. ``airflow_options.json`` has the options of the pinned
Airflow and its providers; ``make options`` writes it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from compiler.located_json import quoted
from compiler.suggestions import nearest
from compiler.validation import Check, Finding, check
from fargate_runtime.contract import POOL_TARGET, Env
from templates.airflow.components import API_SERVER, COMPONENTS
from templates.airflow.environment import (
    ENVIRONMENT,
    SECRETS,
    USES_AIRFLOW,
    WITH_SECRET_VARIABLES,
)
from templates.airflow.pools import WorkerPool
from templates.airflow.secret_environment import SLOTS
from templates.parameters import Parameters
from templates.types import (
    Boolean,
    IssuerUrl,
    JsonText,
    SecretsPrefix,
    SecretVariables,
    Text,
)

OPTIONS_FILE = Path(__file__).parents[1] / "airflow" / "airflow_options.json"

OTHER_DESTINATIONS = (
    *("metrics.otel_on", "metrics.statsd_on", "metrics.statsd_datadog_enabled"),
)
TRUE = ("true", "t", "1")
"""Airflow's own spellings."""

OPEN_SECTIONS = ("celery_broker_transport_options", "sentry")
"""Sections whose options Airflow passes on, whatever their names."""

OTHER_PROVIDERS = (
    *("azure_remote_logging", "edge", "keycloak_auth_manager", "openlineage"),
    "yandex",
)
"""Sections of providers that the official image holds and the table does not."""

BY_PARAMETER = "It is the parameter {}, which other resources follow as well."

NOT_OPTIONS: Mapping[str, str] = {
    "api.host": "The load balancer and the health check reach the server as it is.",
    "api.port": "Load balancer, health check and security groups name the port.",
    "api.ssl_cert": "The load balancer ends TLS, and calls the server by HTTP.",
    "api.ssl_key": "The load balancer ends TLS, and calls the server by HTTP.",
    "celery.worker_autoscale": "The autoscaler has to know the tasks of a worker.",
    "core.dags_folder": "DAGs come from the DAG bucket.",
    "core.default_pool_task_slot_count": BY_PARAMETER.format("Parallelism"),
    "core.parallelism": BY_PARAMETER.format("Parallelism"),
    "core.unit_test_mode": "It replaces all other options.",
    "database.sql_alchemy_conn_async": "It is derived from the other URL.",
    "workers.secrets_backend": "Workers hold no right to secrets: they ask the API "
    "server for connections and variables.",
    "workers.secrets_backend_kwargs": "Workers hold no right to secrets.",
}
"""Options that no row of ``environment.py`` sets, and what would break."""

SECRETS_OPTIONS = {
    *("secrets.backend", "AIRFLOW__SECRETS__BACKEND"),
    "AIRFLOW__SECRETS__BACKEND_KWARGS",
}
"""Another backend than that of ``SecretsPrefix``, for which operators give the rights
and the packages. Its arguments may hold a login, so they are a secret variable."""

RESERVED = re.compile(r"(AWS|ECS|LD|PYTHON|RUNTIME|LOCAL)_?\w*|PATH|HOME|HOSTNAME")
"""Variables that the platform, the loader or the container's start reads."""

SECRET_NAME = re.compile(
    r"(^|_)(password|passwd|pwd|secret|token|credentials?|(api|access|private)_?key)$",
    re.IGNORECASE,
)
SECRET_VALUE = re.compile(
    r"\b(AKIA|ASIA)[A-Z0-9]{16}\b|-----BEGIN [A-Z ]*PRIVATE KEY|"
    r"://[^/\s:@]*:[^/\s@]+@|\bgh[pousr]_\w{20}|\bxox[abp]-\w|"
    r"\beyJ[\w-]+\.eyJ[\w-]+\.|\bsk-\w{20}"
)
"""An AWS key, a private key, a URL with a password, tokens of GitHub, Slack and
others."""

PLACEHOLDER = re.compile(r"(true|false|\d*|/.*|arn:.*|\{\{.*\}\})", re.IGNORECASE)
"""Values that are no secret, whatever the name: a switch, a number, a path, an ARN."""

CONNECTION = "AIRFLOW_CONN_"
OPTION = re.compile(r"AIRFLOW__(?P<section>\w+?)__(?P<option>\w+?)(_CMD|_SECRET)?")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def checks(parameters: Parameters, pools: tuple[WorkerPool, ...]) -> Iterator[Check]:
    """Yield the checks of the three parameters."""
    names = tuple(pool.name for pool in pools)
    settings = parameters.airflow
    yield check(
        "secrets are looked for in one place",
        _backend,
        settings.secrets_prefix,
        settings.enable_secrets_at_parsing,
        settings.airflow,
        parameters.secret_environment,
        names,
    )
    yield check("options of Airflow are known", _options, settings.airflow, names)
    yield check(
        "metrics have one destination",
        _metrics,
        settings.airflow,
        settings.airflow_metrics,
        names,
    )
    yield check("variables are no secrets", _variables, settings.environment, names)
    secrets = parameters.secret_environment
    yield check(
        "secret variables fit",
        _secrets,
        *(secrets, names, parameters.sign_on.oidc_issuer),
    )


Entry = tuple[str, str, str]
"""A target or nothing, a name and its value."""


class _Targets:
    """A parameter's text, member by member, with what is wrong about its form."""

    def __init__(
        self, parameter: JsonText | SecretVariables, targets: tuple[str, ...]
    ) -> None:
        self.entries: list[Entry] = []
        self.findings: list[Finding] = []
        if not parameter.text:
            return
        try:
            document = json.loads(parameter.text)
        except ValueError as error:
            self.findings.append(
                Finding(
                    what=f"It is not JSON: {error}.",
                    remedy='Write an object: {"NAME": "value"}.',
                )
            )
            return
        for name, value in document.items():
            if not isinstance(value, dict):
                self._add("", name, value)
            elif name in targets:
                for member, text in value.items():
                    self._add(name, member, text)
            else:
                self.findings.append(
                    Finding(
                        what=f"{quoted(name)} is neither a component nor a pool.",
                        why=f"Known: {', '.join(targets)}.",
                        remedy=nearest(name, targets) or "Name one of these.",
                    )
                )

    def _add(self, target: str, name: str, value: object) -> None:
        if isinstance(value, str):
            self.entries.append((target, name, value))
            return
        self.findings.append(
            Finding(
                what=f"The value of {name} is no text.",
                remedy="Write it in double quotes.",
            )
        )


def _targets(components: frozenset[object], pools: tuple[Text, ...]) -> tuple[str, ...]:
    return (
        *(component.name for component in COMPONENTS if component in components),
        *(f"{POOL_TARGET}{pool.text}" for pool in pools),
    )


def _options(options: JsonText, pools: tuple[Text, ...]) -> Iterator[Finding]:
    read = _Targets(options, _targets(USES_AIRFLOW, pools))
    yield from read.findings
    for _, name, value in read.entries:
        yield from _option_faults(name)
        if name in known_options().sensitive:
            yield _secret(name, f"Write {_variable_of(name)} in SecretEnvironment.")
        elif finding := _looks_secret(name.rpartition(".")[2], name, value):
            yield finding


def _metrics(
    options: JsonText, airflow_metrics: Boolean, pools: tuple[Text, ...]
) -> Iterator[Finding]:
    if airflow_metrics.text != "true":
        return
    for _, name, value in _Targets(options, _targets(USES_AIRFLOW, pools)).entries:
        if name in OTHER_DESTINATIONS and value.lower() in TRUE:
            yield Finding(
                what=f"{name} is on, and so is AirflowMetrics.",
                why="Airflow sends its metrics to one destination, and CloudWatch "
                "would stay it.",
                remedy="Set AirflowMetrics to false, or delete the option.",
            )


def _backend(
    prefix: SecretsPrefix,
    at_parsing: Boolean,
    options: JsonText,
    secrets: SecretVariables,
    pools: tuple[Text, ...],
) -> Iterator[Finding]:
    if at_parsing.is_true and not prefix.text:
        yield Finding(
            what=f"{at_parsing.name} is true, and {prefix.name} is empty.",
            why="There are no secrets to read.",
            remedy=f"Set {prefix.name}, or {at_parsing.name} to false.",
        )
    targets = _targets(USES_AIRFLOW, pools)
    members = (*_Targets(options, targets).entries, *_Targets(secrets, targets).entries)
    named = sorted({name for _, name, _ in members} & SECRETS_OPTIONS)
    if prefix.text and named:
        yield Finding(
            what=f"{prefix.name} is set, and {' and '.join(named)} too.",
            why="Airflow looks for secrets in one backend besides its database.",
            remedy=f"Delete one of the two: {prefix.name} sets the options itself.",
        )


def _option_faults(name: str) -> Iterator[Finding]:
    section, _, option = name.rpartition(".")
    if why := owned_options().get(name):
        yield Finding(
            what=f"{name} is set by the templates.", why=why, remedy="Delete it."
        )
    elif not section or not option:
        yield Finding(
            what=f"{quoted(name)} is not section.option.",
            remedy=nearest(name, known_options().options)
            or "Write such as core.default_task_retries.",
        )
    elif name not in known_options().options and not (
        section in OPEN_SECTIONS or section in OTHER_PROVIDERS
    ):
        yield Finding(
            what=f"Airflow {known_options().airflow} has no option {name}.",
            why="An option that Airflow does not know changes nothing.",
            remedy=nearest(name, known_options().options)
            or "docs/configuration.md says where the list is.",
        )


def _variables(variables: JsonText, pools: tuple[Text, ...]) -> Iterator[Finding]:
    read = _Targets(variables, _targets(USES_AIRFLOW, pools))
    yield from read.findings
    for _, name, value in read.entries:
        if option := OPTION.fullmatch(name):
            yield Finding(
                what=f"{name} is an option of Airflow.",
                why="As a variable it would not reach health checks and shells.",
                remedy=f"Write {_name_of(option)} in Airflow.",
            )
            continue
        yield from _name_faults(name)
        if name.startswith(CONNECTION):
            yield _secret(name, "Name its secret in SecretEnvironment.")
        elif finding := _looks_secret(name, name, value):
            yield finding


def _secrets(
    variables: SecretVariables, pools: tuple[Text, ...], issuer: IssuerUrl
) -> Iterator[Finding]:
    targets = _targets(WITH_SECRET_VARIABLES, pools)
    read = _Targets(variables, targets)
    yield from read.findings
    for _, name, _ in read.entries:
        if option := OPTION.fullmatch(name):
            yield from _option_faults(_name_of(option))
        else:
            yield from _name_faults(name)
    for target in targets:
        is_pool = target.startswith(POOL_TARGET)
        groups = ("", "worker", target) if is_pool else ("", target)
        names = [name for group, name, _ in read.entries if group in groups]
        if issuer.text and target == API_SERVER.name:
            names.append(Env.OIDC_CLIENT_SECRET)
        if len(names) > SLOTS:
            yield Finding(
                what=f"{target} has {len(names)} secret variables: {', '.join(names)}.",
                why=f"A container takes {SLOTS}.",
                remedy="Name each for the components that need it, or make them "
                "connections and variables of Airflow.",
            )
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield Finding(
                what=f"{name} has two secrets for {target}.",
                why="ECS takes each name once.",
                remedy="Delete one of the two.",
            )


def _name_faults(name: str) -> Iterator[Finding]:
    if not VARIABLE.fullmatch(name):
        yield Finding(
            what=f"{quoted(name)} is no name of a variable.",
            remedy="Use letters, digits and underscores, no digit first.",
        )
    elif why := owned_variables().get(name):
        yield Finding(
            what=f"{name} is set by the templates.", why=why, remedy="Use another name."
        )
    elif RESERVED.fullmatch(name):
        yield Finding(
            what=f"{name} belongs to the platform.",
            why="Fargate, the loader or the container's start reads it.",
            remedy="Use another name.",
        )


def _looks_secret(word: str, name: str, value: str) -> Finding | None:
    is_named_so = SECRET_NAME.search(word) and not PLACEHOLDER.fullmatch(value)
    if is_named_so or SECRET_VALUE.search(value):
        return _secret(
            name,
            "Put it into Secrets Manager, and name the secret in SecretEnvironment.",
        )
    return None


def _secret(name: str, remedy: str) -> Finding:
    # The value stays out of the message.
    return Finding(
        what=f"{name} looks like a secret.",
        why="Parameters are shown by the console, by describe-stacks and by ECS.",
        remedy=remedy,
    )


def _name_of(option: re.Match[str]) -> str:
    return f"{option['section'].lower()}.{option['option'].lower()}"


def _variable_of(name: str) -> str:
    return f"AIRFLOW__{name.upper().replace('.', '__')}"


@dataclass(frozen=True, kw_only=True)
class KnownOptions:
    """The table of options."""

    airflow: str
    """The version of Airflow."""
    options: frozenset[str]
    sensitive: frozenset[str]
    """Options that hold a secret."""


@cache
def known_options() -> KnownOptions:
    """Return the options of the pinned Airflow and its providers."""
    document = json.loads(OPTIONS_FILE.read_text(encoding="utf-8"))
    return KnownOptions(
        airflow=document["Airflow"],
        options=frozenset(document["Options"]),
        sensitive=frozenset(document["Sensitive"]),
    )


@cache
def owned_options() -> Mapping[str, str]:
    """Return the options that the templates set, each with its reason."""
    secrets = (
        (row.name, f"It is {row.secret.value}, which the stack generates.")
        for row in SECRETS
    )
    rows = ((row.name, row.why) for row in ENVIRONMENT)
    set_here = {
        _name_of(option): why
        for name, why in (*rows, *secrets)
        if (option := OPTION.fullmatch(name))
    }
    return {**NOT_OPTIONS, **set_here}


@cache
def owned_variables() -> Mapping[str, str]:
    """Return the variables that the templates set, each with its reason."""
    return {
        **{row.name: row.why for row in ENVIRONMENT},
        **{row.name: "It comes from a secret of the stack." for row in SECRETS},
        Env.OIDC_CLIENT_SECRET: "It is the parameter OidcClientSecretArn.",
    }
