"""What every task and service of the product promises, whatever it runs."""

from __future__ import annotations

import re

import pytest

from compiler.interfaces import fill
from compiler.wiring import Build, Template, WiringError
from templates import migration, workers
from templates.airflow import fargate
from templates.airflow.components import (
    API_SERVER,
    COMPONENTS,
    FLOWER,
    SCHEDULER,
    WORKER,
    AnyComponent,
)
from templates.airflow.fargate_sizes import PROXY_MEMORY
from tests.templates.tasks import (
    SERVICES,
    container,
    definition,
    host,
    service,
    template_of,
)

each_component = pytest.mark.parametrize("component", COMPONENTS, ids=lambda c: c.name)
each_service = pytest.mark.parametrize("component", SERVICES, ids=lambda c: c.name)


@each_component
def test_containers_of_a_task_share_its_log_group(component: AnyComponent) -> None:
    options = container(component)["LogConfiguration"]["Options"]
    group = f"<{template_of(component)}.{host(component).title}Log>"
    assert options["awslogs-group"] == group
    assert options["awslogs-stream-prefix"] == component.name


@each_component
def test_the_command_is_the_bootstrap_before_the_components(
    component: AnyComponent,
) -> None:
    properties = container(component)
    assert "EntryPoint" not in properties
    python, flag, bootstrap, *command = properties["Command"]
    assert [python, flag] == ["python", "-c"]
    assert bootstrap == fargate.BOOTSTRAP.read_text()
    assert tuple(command[: len(component.command)]) == component.command


@each_component
def test_tasks_have_the_architecture_and_memory_of_their_settings(
    component: AnyComponent,
) -> None:
    properties = definition(component)
    prefix = "Pool" if component is WORKER else ""
    architecture = properties["RuntimePlatform"]["CpuArchitecture"]
    assert architecture == f"given-{prefix}Architecture"
    assert properties["NetworkMode"] == "awsvpc"
    containers = properties["ContainerDefinitions"]
    if not properties["Memory"].isdigit():
        (alone,) = containers
        assert alone["Memory"] == properties["Memory"]
        return
    # The schema has text for a task, and a number for a container.
    limits = sum(int(item["Memory"]) for item in containers)
    proxy = PROXY_MEMORY if host(component).service_connect else 0
    assert limits + proxy == int(properties["Memory"])
    assert all(type(item["Memory"]) is int for item in containers)


@each_component
def test_volumes_exist_only_with_a_readonly_root(component: AnyComponent) -> None:
    # Control 88: off, nothing is mounted, because Fargate gives a volume to root.
    assert not {"Volumes"} & definition(component).keys()
    assert "MountPoints" not in container(component)
    hardened = {"ReadonlyRootFilesystem": "true"}
    properties = container(component, **hardened)
    assert properties["ReadonlyRootFilesystem"] == "true"
    mounted = {m["SourceVolume"]: m["ContainerPath"] for m in properties["MountPoints"]}
    assert set(mounted.values()) == {"/tmp", "/opt/airflow"}  # noqa: S108 - paths
    volumes = {v["Name"] for v in definition(component, **hardened)["Volumes"]}
    assert volumes == mounted.keys()


@each_service
def test_services_use_private_subnets_and_their_own_security_group(
    component: AnyComponent,
) -> None:
    # Controls 112, 113 and 115.
    properties = service(component)
    network = properties["NetworkConfiguration"]["AwsvpcConfiguration"]
    assert network == {
        "AssignPublicIp": "DISABLED",
        "SecurityGroups": [own_group(component)],
        "Subnets": ["subnet-1", "subnet-2"],
    }
    assert properties["PlatformVersion"] == "LATEST"


def own_group(component: AnyComponent) -> str:
    if component is WORKER:
        return "<Workers.SecurityGroup.GroupId>"
    return f"given-{component.title}GroupId"


@pytest.mark.parametrize(
    ("text", "further"),
    [("sg-1,sg-2,sg-3,sg-4", ["sg-1", "sg-2", "sg-3", "sg-4"]), ("none", [])],
)
@each_service
def test_what_runs_dag_code_has_further_security_groups(
    component: AnyComponent, text: str, further: list[str]
) -> None:
    properties = service(component, DagSecurityGroupIds=text)
    groups = properties["NetworkConfiguration"]["AwsvpcConfiguration"]["SecurityGroups"]
    added = further if component.runs_author_code else []
    assert groups == [own_group(component), *added]


@each_service
def test_ecs_exec_requires_the_parameter(component: AnyComponent) -> None:
    assert service(component)["EnableExecuteCommand"] == "false"
    allowed = service(component, EnableExecuteCommand="true")
    assert allowed["EnableExecuteCommand"] == "true"


@each_service
@pytest.mark.parametrize(
    ("changes", "only"),
    [({"EnableExecuteCommand": "true"}, None), ({"PoolSpotPercent": "30"}, WORKER)],
)
def test_settings_of_new_tasks_alone_start_a_deployment(
    component: AnyComponent, changes: dict[str, str], only: AnyComponent | None
) -> None:
    # ECS applies the switch of ECS Exec to new tasks, and refuses another strategy of
    # capacity providers unless a new deployment is forced.
    before = service(component)["ForceNewDeployment"]
    assert before["EnableForceNewDeployment"] is True
    after = service(component, **changes)["ForceNewDeployment"]
    assert (before != after) == (only in (None, component))


def test_load_balanced_services_have_a_grace_period() -> None:
    # G1 and control 116: a check that counts too early is a rollback loop.
    for component in SERVICES:
        properties = service(component)
        if component in (API_SERVER, FLOWER):
            start = container(component)["HealthCheck"]["StartPeriod"]
            assert properties["HealthCheckGracePeriodSeconds"] >= start
            (registered,) = properties["LoadBalancers"]
            assert registered["ContainerName"] == component.name
            assert registered["ContainerPort"] == component.port
        else:
            assert "LoadBalancers" not in properties


def test_scaled_services_have_no_desired_count() -> None:
    # E4: a count here resets the scaling at each update, in the middle of the day.
    counts = {c.name: service(c).get("DesiredCount") for c in SERVICES}
    assert counts == {
        "api-server": None,
        "scheduler": "given-SchedulerCount",
        "dag-processor": 1,
        "triggerer": "given-TriggererCount",
        "worker": None,
        "flower": 1,
    }


def test_a_template_has_the_inputs_of_its_components() -> None:
    # mypy refuses a variable that reads what its components' context lacks; the build
    # refuses a component in a template that lacks its context.
    t = Template("example", "An example.", "", Build(), is_root=False)
    for inputs, component, message in (
        (migration.Inputs, WORKER, "the worker needs contexts.WorkerInputs"),
        (migration.Inputs, SCHEDULER, "the scheduler needs contexts.ServiceInputs"),
        (workers.Inputs, SCHEDULER, "the autoscaler needs contexts.AutoscalerInputs"),
    ):
        values = fill(inputs, lambda leaf: leaf.kind("value"))
        with pytest.raises(WiringError, match=re.escape(message)):
            fargate.Fargate(t, values).task(component)
