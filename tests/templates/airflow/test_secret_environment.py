"""Secret variables of operators: their containers, and the rights of the roles."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest

from compiler.wiring import AssetFile, Build
from templates import parent
from tests.resolver import deploy

ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:"


@cache
def library() -> dict[str, dict[str, Any]]:
    runtime = AssetFile(path="assets/runtime.zip", content=b"", sha256="0" * 64)
    root = Build({"runtime": runtime}).root(parent.define)
    return {template.path: template.document for template in root.walk()}


def added(text: str, **parameters: str) -> dict[str, tuple[dict[str, str], set[str]]]:
    """The variables and the readable secrets that the parameter adds, by container."""

    def everything(
        parameter_values: dict[str, str],
    ) -> dict[str, tuple[dict[str, str], set[str]]]:
        templates = library()
        root = deploy(templates["parent.template.json"], templates, parameter_values)
        containers: dict[str, tuple[dict[str, str], set[str]]] = {}
        for stack in root.walk():
            for name, resource in stack.resources.items():
                if not name.endswith("Definition"):
                    continue
                policy = stack.resources[
                    f"{name.removesuffix('Definition')}ExecutionPolicy"
                ]["Properties"]["PolicyDocument"]["Statement"]
                (readable,) = (
                    statement["Resource"]
                    for statement in policy
                    if statement["Action"] == ["secretsmanager:GetSecretValue"]
                )
                container = resource["Properties"]["ContainerDefinitions"][0]
                secrets = {s["Name"]: s["ValueFrom"] for s in container["Secrets"]}
                key = ".".join([*stack.path, container["Name"]])
                containers[key] = secrets, set(readable)
        return containers

    before, after = (
        everything({}),
        everything({"SecretEnvironment": text, **parameters}),
    )
    return {
        name.removeprefix("AirflowServices."): (
            dict(secrets.items() - before[name][0].items()),
            readable - before[name][1],
        )
        for name, (secrets, readable) in after.items()
        if after[name] != before[name]
    }


ALL = {"api-server", "scheduler", "dag-processor", "triggerer"}
WORKERS = {"DefaultWorkers.worker", "SpotWorkers.worker"}


@pytest.mark.parametrize("text", ["", "{}", '{"worker":{}}'])
def test_without_a_secret_nothing_is_added(text: str) -> None:
    assert added(text) == {}


def test_each_role_reads_exactly_the_secrets_of_its_containers() -> None:
    document = {
        "A": f"{ARN}a-AbCdEf",
        "B": f"{ARN}team/b-AbCdEf:key",
        "scheduler": {"C": f"{ARN}c-AbCdEf:key"},
        "worker": {"D": f"{ARN}d-AbCdEf"},
        "pool spot": {"E": f"{ARN}e-AbCdEf:k", "F": f"{ARN}e-AbCdEf:l"},
    }
    shared = {"A": f"{ARN}a-AbCdEf:::", "B": f"{ARN}team/b-AbCdEf:key::"}
    own = {
        **{name: {} for name in ALL | WORKERS},
        "scheduler": {"C": f"{ARN}c-AbCdEf:key::"},
        "DefaultWorkers.worker": {"D": f"{ARN}d-AbCdEf:::"},
        "SpotWorkers.worker": {
            "D": f"{ARN}d-AbCdEf:::",
            "E": f"{ARN}e-AbCdEf:k::",
            "F": f"{ARN}e-AbCdEf:l::",
        },
    }
    assert added(json.dumps(document, separators=(",", ":"))) == {
        name: (
            shared | secrets,
            {":".join(v.split(":")[:7]) for v in (shared | secrets).values()},
        )
        for name, secrets in own.items()
    }


def test_a_secret_for_one_component_reaches_no_other() -> None:
    text = f'{{"triggerer":{{"T":"{ARN}t-AbCdEf"}}}}'
    assert added(text) == {
        "triggerer": ({"T": f"{ARN}t-AbCdEf:::"}, {f"{ARN}t-AbCdEf"})
    }


@pytest.mark.parametrize("key", ["", ":client"])
@pytest.mark.parametrize("with_others", [False, True])
def test_only_the_api_server_gets_the_secret_of_the_oidc_client(
    key: str, *, with_others: bool
) -> None:
    others = {"api-server": {"X": f"{ARN}x-AbCdEf"}}
    text = json.dumps(others, separators=(",", ":")) if with_others else ""
    own = {"X": f"{ARN}x-AbCdEf:::"} if with_others else {}
    value = f"{ARN}oidc-AbCdEf{key or ':'}::"
    assert added(text, OidcClientSecretArn=f"{ARN}oidc-AbCdEf{key}") == {
        "api-server": (
            {**own, "OIDC_CLIENT_SECRET": value},
            {":".join(v.split(":")[:7]) for v in (*own.values(), value)},
        )
    }
