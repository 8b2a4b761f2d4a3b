"""Airflow's components: service discovery, and the commands for operators."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from pathlib import Path

from compiler.interfaces import leaves
from compiler.wiring import title
from templates.airflow import metrics
from templates.airflow.components import API_SERVER, COMMAND, FLOWER
from templates.parameters import Parameters
from templates.resources import ports
from tests.templates.tasks import (
    SERVICES,
    container,
    document,
    environment,
    resolved,
    service,
)

EXEC = {"EnableExecuteCommand": "true"}


def test_tasks_find_the_api_server_by_its_name() -> None:
    # F4: with a wrong address every task dies at its start.
    connect = service(API_SERVER)["ServiceConnectConfiguration"]
    (served,) = connect["Services"]
    (alias,) = served["ClientAliases"]
    (mapping,) = container(API_SERVER)["PortMappings"]
    assert served["PortName"] == mapping["Name"]
    address = f"http://{alias['DnsName']}:{alias['Port']}/execution/"
    assert resolved("AirflowServices").outputs["ExecutionApiUrl"] == address
    assert address == f"http://api-server:{ports.API_SERVER}/execution/"
    assert connect["Namespace"] == "given-ClusterNamespaceArn"


def test_a_long_answer_is_not_cut_off_by_the_proxy() -> None:
    # For HTTP, Service Connect ends every answer after 15 seconds: large grids and
    # followed logs. Without a protocol it passes bytes on.
    (mapping,) = container(API_SERVER)["PortMappings"]
    assert "AppProtocol" not in mapping


def test_only_api_server_and_workers_use_service_connect() -> None:
    # DAG processor and triggerer run the Execution API in their own process.
    for component in SERVICES:
        if component.name not in ("api-server", "worker"):
            assert "ServiceConnectConfiguration" not in service(component)


def test_api_server_cpu_metric_has_high_resolution() -> None:
    (with_flower,) = service(API_SERVER)["Monitoring"]["MetricConfigurations"]
    assert with_flower == {
        "MetricNames": ["CPUUtilization"],
        "ResolutionSeconds": metrics.API_CPU_RESOLUTION_SECONDS,
    }


def test_flower_resources_exist_only_if_enabled() -> None:
    without = resolved("AirflowServices", EnableFlower="false").resources
    assert not [name for name in without if name.startswith("Flower")]
    with_flower = resolved("AirflowServices").resources
    assert {name for name in with_flower if name not in without} == {
        *("Flower", "FlowerDefinition", "FlowerLog"),
        *("FlowerExecutionPolicy", "FlowerExecutionRole"),
        *("FlowerTaskPolicy", "FlowerTaskRole"),
    }
    assert service(FLOWER)["LoadBalancers"][0]["TargetGroupArn"] == (
        "given-FlowerTargetGroupArn"
    )


def test_the_api_server_has_no_base_url() -> None:
    # With [api] base_url, Airflow sends each login to that one name, which a person
    # with a forwarded port cannot reach; without, it stays where the person is.
    assert "AIRFLOW__API__BASE_URL" not in environment(API_SERVER)


def words(command: str) -> list[str]:
    """Split as a shell would, and check that a shell takes it at all."""
    bash = shutil.which("bash")
    assert bash
    subprocess.run([bash, "-n", "-c", command], check=True)  # noqa: S603 - reads only
    return shlex.split(command)


def test_the_airflow_command_is_valid_in_a_shell() -> None:
    pasted = words(resolved("AirflowServices").outputs["RunCommand"])
    assert pasted[:3] == ["aws", "ecs", "run-task"]
    options = dict(zip(pasted[3::2], pasted[4::2], strict=True))
    assert options["--task-definition"] == "<AirflowServices.CommandDefinition>"
    assert options["--cluster"] == "given-ClusterName"
    assert options["--network-configuration"] == (
        "awsvpcConfiguration={subnets=[subnet-1,subnet-2],"
        "securityGroups=[given-SchedulerGroupId],assignPublicIp=DISABLED}"
    )
    (override,) = json.loads(options["--overrides"])["containerOverrides"]
    assert override["name"] == container(COMMAND)["Name"]
    (variable,) = override["environment"]
    assert variable["name"] in environment(COMMAND)


def test_the_arguments_of_a_command_reach_airflow_as_a_shell_reads_them(
    tmp_path: Path,
) -> None:
    airflow = tmp_path / "airflow"
    airflow.write_text('#!/bin/sh\nprintf "%s|" "$@"\n')
    airflow.chmod(0o755)
    output = subprocess.run(  # noqa: S603 - the command of the built task
        container(COMMAND)["Command"][3:],
        env={
            "PATH": f"{tmp_path}:/usr/bin:/bin",
            "AIRFLOW_ARGUMENTS": "variables set 'a name' \"it's\"",
        },
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert output == "variables|set|a name|it's|"


def test_the_port_forwarding_command_is_valid_in_a_shell() -> None:
    command = resolved("AirflowServices", **EXEC).outputs["PortForwardingCommand"]
    words(command)
    assert "list-tasks" in command
    assert "--service-name <AirflowServices.ApiServer.Name>" in command
    assert '--target "ecs:given-ClusterName_${TASK##*/}_$(aws ' in command
    assert f"name=='{container(API_SERVER)['Name']}'" in command
    assert command.endswith("portNumber=8080,localPortNumber=8080")


def test_without_ecs_exec_the_output_names_its_parameter() -> None:
    output = resolved("AirflowServices").outputs["PortForwardingCommand"]
    named = {title(leaf.name) for leaf in leaves(Parameters)} & set(output.split())
    assert named == {"EnableExecuteCommand"}


def test_task_definitions_fit_ecs_size_limits() -> None:
    # 64 KiB a task definition, the bootstrap's text included.
    for name, resource in document("AirflowServices")["Resources"].items():
        if resource["Type"] == "AWS::ECS::TaskDefinition":
            assert len(json.dumps(resource["Properties"])) < 48 * 1024, name
