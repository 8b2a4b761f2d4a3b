"""Controls 85 to 107: the cluster, task definitions and environment variables."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from fargate_runtime import connections
from tests.compliance.environments import (
    EXISTING_FERNET,
    Environments,
    ResolvedEnvironment,
    variables,
)

KEY = "<Encryption.Key.Arn>"
WORKERS = ("DefaultWorkers.Worker", "SpotWorkers.Worker")


@pytest.mark.control(85)
def test_container_insights_are_enhanced(environments: Environments) -> None:
    # "enhanced" holds all of "enabled", the one value that older rules know.
    settings = environments.base.single("ECS::Cluster")["ClusterSettings"]
    assert settings == [{"Name": "containerInsights", "Value": "enhanced"}]


@pytest.mark.control(86)
def test_exec_sessions_are_logged_and_encrypted(environments: Environments) -> None:
    for environment in environments.variants:
        cluster = environment.single("ECS::Cluster")
        shells = cluster["Configuration"]["ExecuteCommandConfiguration"]
        assert shells["KmsKeyId"] == KEY
        assert shells["Logging"] == "OVERRIDE"
        log = shells["LogConfiguration"]
        assert log["CloudWatchEncryptionEnabled"] is True
        assert log["CloudWatchLogGroupName"].strip("<>") in environment.properties(
            "Logs::LogGroup"
        )


@pytest.mark.control(86)
def test_exec_is_off_by_default(environments: Environments) -> None:
    parent = environments.library["parent.template.json"]
    assert parent["Parameters"]["EnableExecuteCommand"]["Default"] == "false"
    for place, service in environments.base.properties("ECS::Service").items():
        assert service["EnableExecuteCommand"] == "false", place
    assert "ssmmessages:" not in str(environments.base.policies())
    assert "ssmmessages:OpenDataChannel" in str(
        environments.with_execute_command.policies()
    )


@pytest.mark.control(87)
def test_ephemeral_storage_uses_a_customer_key(environments: Environments) -> None:
    configuration = environments.base.single("ECS::Cluster")["Configuration"]
    disks = configuration["ManagedStorageConfiguration"]
    assert disks["FargateEphemeralStorageKmsKeyId"] == KEY


@pytest.mark.control(88)
def test_readonly_root_has_writable_volumes(environments: Environments) -> None:
    # A parameter, off with the stock image: decision 7.
    definitions = environments.with_readonly_root.properties("ECS::TaskDefinition")
    for place, container in environments.with_readonly_root.containers().items():
        assert container["ReadonlyRootFilesystem"] == "true", place
        mounted = {each["ContainerPath"] for each in container["MountPoints"]}
        assert {"/tmp", "/opt/airflow"} <= mounted, place  # noqa: S108 - a mount point
        definition = definitions[place.partition(" ")[0]]
        volumes = {each["Name"] for each in definition["Volumes"]}
        assert {each["SourceVolume"] for each in container["MountPoints"]} <= volumes
        assert not any(each.get("ReadOnly") for each in container["MountPoints"])
    rule = environments.library["parent.template.json"]["Rules"][
        "ReadOnlyRootExcludesExec"
    ]
    assert rule["Assertions"]


@pytest.mark.control(89, 90)
def test_containers_state_a_user_that_is_not_root(environments: Environments) -> None:
    # The image's own user is no guarantee: an operator may bring another image.
    for environment in environments.variants:
        for place, container in environment.containers().items():
            assert container["User"] == "50000:0", place


@pytest.mark.control(91, 101)
def test_containers_are_not_privileged(environments: Environments) -> None:
    for environment in environments.variants:
        for place, container in environment.containers().items():
            assert not container.get("Privileged"), place
        for place, definition in environment.properties("ECS::TaskDefinition").items():
            assert definition.get("PidMode", "task") == "task", place
            assert definition["NetworkMode"] == "awsvpc", place


@pytest.mark.control(92)
def test_containers_drop_capabilities(environments: Environments) -> None:
    # With ECS Exec the default set stays, and none is added: decision 7.
    for environment in environments.variants:
        with_exec = {
            service["TaskDefinition"].strip("<>")
            for service in environment.properties("ECS::Service").values()
            if service["EnableExecuteCommand"] == "true"
        }
        for place, container in environment.containers().items():
            capabilities = container["LinuxParameters"].get("Capabilities")
            allowed = (
                None if place.partition(" ")[0] in with_exec else {"Drop": ["ALL"]}
            )
            assert capabilities == allowed, place


@pytest.mark.control(93)
def test_containers_have_an_init_process(environments: Environments) -> None:
    for environment in environments.variants:
        for place, container in environment.containers().items():
            assert container["LinuxParameters"]["InitProcessEnabled"] is True, place


def logs(environment: ResolvedEnvironment) -> dict[str, dict[str, Any]]:
    """Return the log configuration of each container and Service Connect proxy."""
    configurations = {
        place: container["LogConfiguration"]
        for place, container in environment.containers().items()
    }
    for place, service in environment.properties("ECS::Service").items():
        if "ServiceConnectConfiguration" in service:
            proxy = service["ServiceConnectConfiguration"]
            configurations[f"{place} proxy"] = proxy["LogConfiguration"]
    return configurations


@pytest.mark.control(94, 99)
def test_containers_log_without_blocking(environments: Environments) -> None:
    # A blocking driver stalls the scheduler while CloudWatch throttles.
    for environment in environments.variants:
        for place, log in logs(environment).items():
            assert log["LogDriver"] == "awslogs", place
            options = log["Options"]
            assert options["awslogs-group"].strip("<>") in environment.properties(
                "Logs::LogGroup"
            )
            assert options["mode"] == "non-blocking", place
            assert options["max-buffer-size"], place


@pytest.mark.control(95)
def test_health_checks_leave_time_to_start(environments: Environments) -> None:
    for environment in environments.variants:
        for place, service in environment.properties("ECS::Service").items():
            check = environment.container_of(service)["HealthCheck"]
            assert check["StartPeriod"] >= 120, place
            assert check["Command"][0] in ("CMD", "CMD-SHELL"), place
            assert len(check["Command"]) > 1, place


@pytest.mark.control(96, 97)
def test_stop_timeouts_are_120_seconds_at_most(environments: Environments) -> None:
    # Fargate refuses more than 120; no linter sees 600.
    containers = environments.internet_facing.containers()
    assert all(0 < each["StopTimeout"] <= 120 for each in containers.values())
    workers = [c for c in containers.values() if c["Name"] == "worker"]
    assert len(workers) == len(WORKERS)
    assert all(worker["StopTimeout"] == 120 for worker in workers)


PROXY_MIB = 64
"""The least that AWS advises to leave for the proxy of Service Connect."""


@pytest.mark.control(98)
def test_container_memory_fits_into_the_task(environments: Environments) -> None:
    definitions = environments.base.properties("ECS::TaskDefinition")
    reserved = dict.fromkeys(definitions, 0)
    for service in environments.base.properties("ECS::Service").values():
        if "ServiceConnectConfiguration" in service:
            reserved[service["TaskDefinition"].strip("<>")] = PROXY_MIB
    assert sum(reserved.values()) == 3 * PROXY_MIB
    for place, definition in definitions.items():
        limits = sum(int(each["Memory"]) for each in definition["ContainerDefinitions"])
        assert 0 < limits <= int(definition["Memory"]) - reserved[place], place


@pytest.mark.control(100, 103)
def test_tasks_share_no_role_and_have_two(environments: Environments) -> None:
    # The execution role reads secrets; a role of its own keeps them from user code.
    for environment in environments.variants:
        roles = environment.properties("IAM::Role")
        other_tasks: set[str] = set()
        for place, definition in environment.properties("ECS::TaskDefinition").items():
            own = {definition["TaskRoleArn"], definition["ExecutionRoleArn"]}
            assert len(own) == 2, place
            assert not own & other_tasks, f"{place} shares a role"
            other_tasks |= own
            for role in own:
                assert role.strip("<>").removesuffix(".Arn") in roles, place


SIZES = {
    256: (512, 1024, 2048),
    512: range(1024, 4096 + 1, 1024),
    1024: range(2048, 8192 + 1, 1024),
    2048: range(4096, 16384 + 1, 1024),
    4096: range(8192, 30720 + 1, 1024),
    8192: range(16384, 61440 + 1, 4096),
    16384: range(32768, 122880 + 1, 8192),
}
"""MiB by CPU units, as Fargate documents them."""


@pytest.mark.control(102)
def test_task_sizes_exist_on_fargate(environments: Environments) -> None:
    for environment in environments.variants:
        for place, definition in environment.properties("ECS::TaskDefinition").items():
            assert int(definition["Memory"]) in SIZES[int(definition["Cpu"])], place


NO_SECRETS = {
    "RUNTIME_KEY": "names an object in a bucket",
    "AIRFLOW__CORE__FERNET_KEY_CMD": "is a command",
    "SECRETS_PREFIX": "says where connections and variables are",
    "ENABLE_SECRETS_AT_PARSING": "is true or false",
}


@pytest.mark.control(104)
def test_plain_variables_are_not_named_like_secrets(environments: Environments) -> None:
    for environment in environments.variants:
        for place, container in environment.containers().items():
            plain = {each["Name"] for each in container["Environment"]}
            assert plain, place
            for name in plain - NO_SECRETS.keys():
                suspect = r"PASSWORD|PASSWD|SECRET|TOKEN|CREDENTIAL|_KEY|PRIVATE"
                assert not re.search(suspect, name), f"{place}: {name}"


@pytest.mark.control(105, 106)
def test_plain_values_hold_no_password(environments: Environments) -> None:
    # What {{resolve:}} returns would lie in clear in the task definition.
    for environment in environments.variants:
        for place, definition in environment.properties("ECS::TaskDefinition").items():
            assert "{{resolve:" not in json.dumps(definition), place
        for place, container in environment.containers().items():
            for each in container["Environment"]:
                assert not re.search(r"://[^/@]*:[^/@]*@", each["Value"]), place
            assert not re.search(r"://[^/@\s]*:[^/@\s{]+@", str(container["Command"]))


@pytest.mark.control(106)
def test_secrets_are_injected_by_arn(environments: Environments) -> None:
    for environment in environments.variants:
        known = {
            f"<{place}>" for place in environment.properties("SecretsManager::Secret")
        }
        known.add("<Database.Cluster.MasterUserSecret.SecretArn>")
        known.add(EXISTING_FERNET)
        for place, container in environment.containers().items():
            assert container["Secrets"], place
            for each in container["Secrets"]:
                value = f"{each['ValueFrom']}:"
                assert any(value.startswith(f"{secret}:") for secret in known), place


@pytest.mark.control(107)
def test_broker_clients_verify_its_certificate(environments: Environments) -> None:
    # A bare rediss:// verifies nothing. With these two settings Airflow requires a
    # certificate of the broker; with mutual TLS it would need one of its own.
    clients = 0
    for container in environments.internet_facing.containers().values():
        settings = variables(container)
        if "AIRFLOW__CELERY__BROKER_URL_CMD" in settings:
            clients += 1
            command = settings["AIRFLOW__CELERY__BROKER_URL_CMD"]
            assert command == "python -m fargate_runtime.connections broker"
            assert settings["AIRFLOW__CELERY__SSL_ACTIVE"] == "True"
            assert settings["AIRFLOW__CELERY__SSL_MUTUAL_TLS"] == "False"
    assert clients >= 3
    parts = {"HOST": "b.example.com", "PORT": "6379", "USER": "u", "PASSWORD": "p"}
    url = connections.broker({f"BROKER_{name}": part for name, part in parts.items()})
    assert url.startswith("rediss://")
