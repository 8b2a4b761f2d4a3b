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
from tests.templates.tasks import (
    PAGES,
    SERVICES,
    container,
    definition,
    document,
    host,
    page_of,
    service,
)

each_component = pytest.mark.parametrize("component", COMPONENTS, ids=lambda c: c.name)
each_service = pytest.mark.parametrize("component", SERVICES, ids=lambda c: c.name)


@each_component
def test_a_container_is_nobody_and_can_do_nothing(component: AnyComponent) -> None:
    # Controls 89 to 93. The group must be root's: the entrypoint refuses another.
    made = container(component)
    assert made["User"] == "50000:0"
    assert "Privileged" not in made
    assert made["LinuxParameters"] == {
        "Capabilities": {"Drop": ["ALL"]},
        "InitProcessEnabled": True,
    }


@each_component
def test_a_log_never_stalls_what_writes_it(component: AnyComponent) -> None:
    # F9 and controls 94 and 99: with a blocking driver a throttled CloudWatch stops
    # the scheduler in the middle of a line.
    logging = container(component)["LogConfiguration"]
    assert logging["LogDriver"] == "awslogs"
    options = logging["Options"]
    assert (options["mode"], options["max-buffer-size"]) == ("non-blocking", "25m")
    group = f"<{page_of(component)}.{host(component).title}Log>"
    assert options["awslogs-group"] == group
    assert options["awslogs-stream-prefix"] == component.name


def test_a_log_is_encrypted_expires_and_outlives_the_stack() -> None:
    # Controls 55 to 57: what went wrong in a launch is read after its rollback.
    for page in PAGES:
        for name, resource in document(page)["Resources"].items():
            if resource["Type"] == "AWS::Logs::LogGroup":
                assert resource["DeletionPolicy"] == "Retain", name
                assert resource["UpdateReplacePolicy"] == "Retain", name
                assert resource["Properties"] == {
                    "KmsKeyId": {"Ref": "KeyArn"},
                    "RetentionInDays": {"Ref": "LogDays"},
                }, name


@each_component
def test_the_bootstrap_comes_first_and_the_images_entrypoint_stays(
    component: AnyComponent,
) -> None:
    made = container(component)
    assert "EntryPoint" not in made
    python, flag, bootstrap, *command = made["Command"]
    assert [python, flag] == ["python", "-c"]
    assert bootstrap == fargate.BOOTSTRAP.read_text()
    assert tuple(command[: len(component.command)]) == component.command


@each_component
def test_a_task_has_two_roles_of_its_own(component: AnyComponent) -> None:
    # Controls 100 and 103.
    made = definition(component)
    start = f"<{page_of(component)}.{host(component).title}"
    assert made["ExecutionRoleArn"] == f"{start}ExecutionRole.Arn>"
    assert made["TaskRoleArn"] == f"{start}TaskRole.Arn>"
    assert "PidMode" not in made


@each_component
def test_a_task_runs_on_the_chosen_processor_within_its_memory(
    component: AnyComponent,
) -> None:
    made = definition(component)
    prefix = "Pool" if component is WORKER else ""
    architecture = made["RuntimePlatform"]["CpuArchitecture"]
    assert architecture == f"given-{prefix}Architecture"
    containers = made["ContainerDefinitions"]
    alone = {container["Memory"] for container in containers} == {made["Memory"]}
    assert alone or sum(int(one["Memory"]) for one in containers) == int(made["Memory"])
    assert made["NetworkMode"] == "awsvpc"


@each_component
def test_a_read_only_root_leaves_the_folders_that_airflow_writes(
    component: AnyComponent,
) -> None:
    # Control 88: off, nothing is mounted, because Fargate gives a volume to root.
    assert not {"Volumes"} & definition(component).keys()
    assert "MountPoints" not in container(component)
    hardened = {"ReadonlyRootFilesystem": "true"}
    made = container(component, **hardened)
    assert made["ReadonlyRootFilesystem"] == "true"
    mounted = {m["SourceVolume"]: m["ContainerPath"] for m in made["MountPoints"]}
    assert set(mounted.values()) == {"/tmp", "/opt/airflow"}  # noqa: S108 - paths
    volumes = {v["Name"] for v in definition(component, **hardened)["Volumes"]}
    assert volumes == mounted.keys()


@each_service
def test_a_bad_release_heals_itself(component: AnyComponent) -> None:
    # Controls 108, 109 and 111: without them a stack hangs for three hours.
    assert service(component)["DeploymentConfiguration"] == {
        "DeploymentCircuitBreaker": {"Enable": True, "Rollback": True},
        "MinimumHealthyPercent": 100,
        "MaximumPercent": 200,
    }


@each_service
def test_a_task_is_in_the_private_network_of_its_own_group(
    component: AnyComponent,
) -> None:
    # Controls 112, 113 and 115.
    made = service(component)
    network = made["NetworkConfiguration"]["AwsvpcConfiguration"]
    assert network == {
        "AssignPublicIp": "DISABLED",
        "SecurityGroups": [f"given-{component.title}GroupId"],
        "Subnets": ["subnet-1", "subnet-2"],
    }
    assert made["PlatformVersion"] == "LATEST"


@each_service
def test_costs_can_be_told_apart(component: AnyComponent) -> None:
    # Control 118.
    made = service(component)
    assert made["EnableECSManagedTags"] is True
    assert made["PropagateTags"] == "SERVICE"


@each_service
def test_only_workers_are_never_moved_between_zones(component: AnyComponent) -> None:
    # D4 and control 114: it is on by default, and stops healthy workers.
    stated = "DISABLED" if component is WORKER else "ENABLED"
    assert service(component)["AvailabilityZoneRebalancing"] == stated


@each_service
def test_a_shell_needs_the_operators_switch(component: AnyComponent) -> None:
    assert service(component)["EnableExecuteCommand"] == "false"
    allowed = service(component, EnableExecuteCommand="true")
    assert allowed["EnableExecuteCommand"] == "true"


def test_behind_the_load_balancer_a_start_is_waited_for() -> None:
    # G1 and control 116: a check that counts too early is a rollback loop.
    for component in SERVICES:
        made = service(component)
        if component in (API_SERVER, FLOWER):
            start = container(component)["HealthCheck"]["StartPeriod"]
            assert made["HealthCheckGracePeriodSeconds"] >= start
            (registered,) = made["LoadBalancers"]
            assert registered["ContainerName"] == component.name
            assert registered["ContainerPort"] == component.port
        else:
            assert "LoadBalancers" not in made


def test_what_is_scaled_has_no_count_in_the_template() -> None:
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
    t = Template("toy", "A toy.", "", Build(), is_root=False)
    for inputs, component, message in (
        (migration.Inputs, WORKER, "the worker needs contexts.WorkerInputs"),
        (migration.Inputs, SCHEDULER, "the scheduler needs contexts.ServiceInputs"),
        (workers.Inputs, SCHEDULER, "the autoscaler needs contexts.AutoscalerInputs"),
    ):
        values = fill(inputs, lambda leaf: leaf.kind("value"))
        with pytest.raises(WiringError, match=re.escape(message)):
            fargate.Fargate(t, values).task(component)
