"""The templates with ECS tasks, compiled and resolved for the tests beside this."""

from __future__ import annotations

from functools import cache, cached_property
from typing import Any

from compiler.wiring import AssetFile, Build
from templates import airflow_services, migration, workers
from templates.airflow.components import COMPONENTS, AnyComponent
from templates.airflow.secret_environment import UNUSED_SLOTS
from templates.types import EGRESS_SLOTS
from tests.resolver import Stack

TEMPLATES = {
    "AirflowServices": airflow_services.define,
    "Migration": migration.define,
    "Workers": workers.define,
}
DISABLED = {
    "EnableExecuteCommand": "false",
    "ExtraPolicyArns": "",
    "AssumableRoleArns": "",
    "PermissionsExtraPolicyArns": "",
    "PermissionsAssumableRoleArns": "",
    "ReadonlyRootFilesystem": "false",
    "PermissionsBoundaryArn": "",
    "PreviousFernetSecretArn": "",
    "ExistingFernetSecretArn": "",
    "SecretsPrefix": "",
    "EnableSecretsAtParsing": "false",
    "EnableFlower": "true",
    "IsHttps": "true",
    "ApiServerSizeMemory": "2048",
    "PoolMemory": "4096",
    "PoolSpotPercent": "0",
    "SchedulerSizeMemory": "2048",
    "SubnetIds": "subnet-1,subnet-2",
    **{
        f"SecretEnvironment{component}": UNUSED_SLOTS
        for component in ("", "ApiServer", "Scheduler", "DagProcessor", "Triggerer")
    },
    "DagEgress": "," * EGRESS_SLOTS,
    "DagSecurityGroupIds": "",
}
"""All options off but Flower; other parameters have the value ``given-Name``."""


class Template(Stack):
    """A template on its own, resolved once."""

    @cached_property
    def resources(self) -> dict[str, dict[str, Any]]:
        return super().resources

    def _findinmap(self, argument: Any) -> Any:
        mapping, key, attribute = self.resolve(argument)
        return self.document["Mappings"][mapping][str(key)][attribute]


@cache
def document(name: str) -> dict[str, Any]:
    runtime = AssetFile(path="assets/runtime.zip", content=b"", sha256="0" * 64)
    return Build({"runtime": runtime}).template(TEMPLATES[name]).document  # type: ignore[arg-type] # each define has its own types


def resolved(name: str, **changes: str) -> Template:
    return _resolved(name, tuple(sorted(changes.items())))


@cache
def _resolved(name: str, changed: tuple[tuple[str, str], ...]) -> Template:
    template, changes = document(name), dict(changed)
    parameters = {key: f"given-{key}" for key in template["Parameters"]}
    parameters |= {k: v for k, v in {**DISABLED, **changes}.items() if k in parameters}
    return Template(
        path=(name,),
        document=template,
        parameters={
            key: value.split(",")
            if template["Parameters"][key]["Type"] == "CommaDelimitedList"
            else value
            for key, value in parameters.items()
        },
        library={},
        root_name="airflow",
    )


def template_of(component: AnyComponent) -> str:
    return {"migration": "Migration", "worker": "Workers"}.get(
        component.name, "AirflowServices"
    )


def host(component: AnyComponent) -> AnyComponent:
    """The component whose task it runs in, itself or another."""
    return component.beside or component


def definition(component: AnyComponent, **changes: str) -> dict[str, Any]:
    resources = resolved(template_of(component), **changes).resources
    result: dict[str, Any] = resources[f"{host(component).title}Definition"]
    return dict(result["Properties"])


def container(component: AnyComponent, **changes: str) -> dict[str, Any]:
    containers = definition(component, **changes)["ContainerDefinitions"]
    (properties,) = (item for item in containers if item["Name"] == component.name)
    return dict(properties)


def environment(component: AnyComponent, **changes: str) -> dict[str, str]:
    return {
        e["Name"]: e["Value"] for e in container(component, **changes)["Environment"]
    }


def injected(component: AnyComponent, **changes: str) -> dict[str, str]:
    return {
        e["Name"]: e["ValueFrom"] for e in container(component, **changes)["Secrets"]
    }


def service(component: AnyComponent, **changes: str) -> dict[str, Any]:
    resources = resolved(template_of(component), **changes).resources
    result: dict[str, Any] = resources[component.title]["Properties"]
    return result


def statements(
    component: AnyComponent, role: str, **changes: str
) -> list[dict[str, Any]]:
    """What the ``Task`` or ``Execution`` role of its task may do, by its own policy."""
    resources = resolved(template_of(component), **changes).resources
    policy = resources[f"{host(component).title}{role}Policy"]["Properties"]
    result: list[dict[str, Any]] = policy["PolicyDocument"]["Statement"]
    return result


SERVICES = tuple(component for component in COMPONENTS if component.is_service)
