"""The pages that hold tasks, compiled and resolved for the tests beside this."""

from __future__ import annotations

from functools import cache, cached_property
from typing import Any

from compiler.wiring import AssetFile, Build
from templates import airflow_services, migration, workers
from templates.airflow.components import COMPONENTS, AnyComponent
from tests.resolver import Stack

PAGES = {
    "AirflowServices": airflow_services.define,
    "Migration": migration.define,
    "Workers": workers.define,
}
QUIET = {
    "EnableExecuteCommand": "false",
    "ExtraPolicyArns": "",
    "ReadonlyRootFilesystem": "false",
    "PermissionsBoundaryArn": "",
    "PreviousFernetSecretArn": "",
    "EnableFlower": "true",
    "IsHttps": "true",
    "PoolSpotPercent": "0",
    "SchedulerSizeMemory": "2048",
    "SubnetIds": "subnet-1,subnet-2",
}
"""Every switch off, but for Flower; what is not here is called ``given-Name``."""


class Template(Stack):
    """A page on its own, resolved once."""

    @cached_property
    def resources(self) -> dict[str, dict[str, Any]]:
        return super().resources

    def _findinmap(self, argument: Any) -> Any:
        mapping, key, attribute = self.resolve(argument)
        return self.document["Mappings"][mapping][str(key)][attribute]


@cache
def document(name: str) -> dict[str, Any]:
    runtime = AssetFile(path="assets/runtime.zip", content=b"", sha256="0" * 64)
    return Build({"runtime": runtime}).template(PAGES[name]).document  # type: ignore[arg-type] # each define has its own types


def resolved(name: str, **changes: str) -> Template:
    return _resolved(name, tuple(sorted(changes.items())))


@cache
def _resolved(name: str, changed: tuple[tuple[str, str], ...]) -> Template:
    page, changes = document(name), dict(changed)
    given = {key: f"given-{key}" for key in page["Parameters"]}
    given |= {k: v for k, v in {**QUIET, **changes}.items() if k in given}
    return Template(
        path=(name,),
        document=page,
        parameters={
            key: value.split(",")
            if page["Parameters"][key]["Type"] == "CommaDelimitedList"
            else value
            for key, value in given.items()
        },
        library={},
        root_name="airflow",
    )


def page_of(component: AnyComponent) -> str:
    return {"migration": "Migration", "worker": "Workers"}.get(
        component.name, "AirflowServices"
    )


def host(component: AnyComponent) -> AnyComponent:
    """The component whose task it runs in, itself or another."""
    return component.beside or component


def definition(component: AnyComponent, **changes: str) -> dict[str, Any]:
    resources = resolved(page_of(component), **changes).resources
    found: dict[str, Any] = resources[f"{host(component).title}Definition"]
    return dict(found["Properties"])


def container(component: AnyComponent, **changes: str) -> dict[str, Any]:
    containers = definition(component, **changes)["ContainerDefinitions"]
    (found,) = (one for one in containers if one["Name"] == component.name)
    return dict(found)


def environment(component: AnyComponent, **changes: str) -> dict[str, str]:
    return {
        e["Name"]: e["Value"] for e in container(component, **changes)["Environment"]
    }


def injected(component: AnyComponent, **changes: str) -> dict[str, str]:
    return {
        e["Name"]: e["ValueFrom"] for e in container(component, **changes)["Secrets"]
    }


def service(component: AnyComponent, **changes: str) -> dict[str, Any]:
    resources = resolved(page_of(component), **changes).resources
    found: dict[str, Any] = resources[component.title]["Properties"]
    return found


def statements(
    component: AnyComponent, role: str, **changes: str
) -> list[dict[str, Any]]:
    """What the ``Task`` or ``Execution`` role of its task may do, by its own policy."""
    resources = resolved(page_of(component), **changes).resources
    policy = resources[f"{host(component).title}{role}Policy"]["Properties"]
    found: list[dict[str, Any]] = policy["PolicyDocument"]["Statement"]
    return found


SERVICES = tuple(one for one in COMPONENTS if one.is_service)
