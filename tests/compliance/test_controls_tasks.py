"""Controls 85 to 107: the cluster, and what its tasks are and know."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from fargate_runtime import connections
from tests.compliance.environments import Estate, Estates

KEY = "<Encryption.Key.Arn>"
WORKERS = ("DefaultWorkers.Worker", "SpotWorkers.Worker")


@pytest.mark.control(85)
def test_every_task_is_measured(estates: Estates) -> None:
    # "enhanced" holds all of "enabled", the one value that older rules know.
    settings = estates.usual.one("ECS::Cluster")["ClusterSettings"]
    assert settings == [{"Name": "containerInsights", "Value": "enhanced"}]


@pytest.mark.control(86)
def test_every_shell_is_recorded_encrypted_in_a_log_of_ours(estates: Estates) -> None:
    for estate in estates.each:
        cluster = estate.one("ECS::Cluster")
        shells = cluster["Configuration"]["ExecuteCommandConfiguration"]
        assert shells["KmsKeyId"] == KEY
        assert shells["Logging"] == "OVERRIDE"
        log = shells["LogConfiguration"]
        assert log["CloudWatchEncryptionEnabled"] is True
        assert log["CloudWatchLogGroupName"].strip("<>") in estate.of("Logs::LogGroup")


@pytest.mark.control(86)
def test_nobody_opens_a_shell_unless_an_operator_says_so(estates: Estates) -> None:
    parent = estates.library["parent.template.json"]
    assert parent["Parameters"]["EnableExecuteCommand"]["Default"] == "false"
    for place, service in estates.usual.of("ECS::Service").items():
        assert service["EnableExecuteCommand"] == "false", place
    assert "ssmmessages:" not in str(estates.usual.policies())
    assert "ssmmessages:OpenDataChannel" in str(estates.with_shells.policies())


@pytest.mark.control(87)
def test_scratch_disks_lie_under_our_key(estates: Estates) -> None:
    configuration = estates.usual.one("ECS::Cluster")["Configuration"]
    disks = configuration["ManagedStorageConfiguration"]
    assert disks["FargateEphemeralStorageKmsKeyId"] == KEY


@pytest.mark.control(88)
def test_with_a_read_only_root_all_that_airflow_writes_to_is_a_volume(
    estates: Estates,
) -> None:
    # A switch, off with the stock image: decision 7.
    definitions = estates.hardened.of("ECS::TaskDefinition")
    for place, container in estates.hardened.containers().items():
        assert container["ReadonlyRootFilesystem"] == "true", place
        mounted = {each["ContainerPath"] for each in container["MountPoints"]}
        assert {"/tmp", "/opt/airflow"} <= mounted, place  # noqa: S108 - a mount point
        definition = definitions[place.partition(" ")[0]]
        volumes = {each["Name"] for each in definition["Volumes"]}
        assert {each["SourceVolume"] for each in container["MountPoints"]} <= volumes
        assert not any(each.get("ReadOnly") for each in container["MountPoints"])
    rule = estates.library["parent.template.json"]["Rules"]["ReadOnlyRootExcludesExec"]
    assert rule["Assertions"]


@pytest.mark.control(89, 90)
def test_every_container_says_that_it_is_not_root(estates: Estates) -> None:
    # The image's own user is no proof: an operator may bring another image.
    for estate in estates.each:
        for place, container in estate.containers().items():
            assert container["User"] == "50000:0", place


@pytest.mark.control(91, 101)
def test_no_container_is_privileged_or_sees_the_host(estates: Estates) -> None:
    for estate in estates.each:
        for place, container in estate.containers().items():
            assert not container.get("Privileged"), place
        for place, definition in estate.of("ECS::TaskDefinition").items():
            assert definition.get("PidMode", "task") == "task", place
            assert definition["NetworkMode"] == "awsvpc", place


@pytest.mark.control(92, 93)
def test_every_container_can_do_nothing_special_and_reaps_what_it_leaves(
    estates: Estates,
) -> None:
    for estate in estates.each:
        for place, container in estate.containers().items():
            parameters = container["LinuxParameters"]
            assert parameters["Capabilities"] == {"Drop": ["ALL"]}, place
            assert parameters["InitProcessEnabled"] is True, place


def logs(estate: Estate) -> dict[str, dict[str, Any]]:
    """Return where each container, and each proxy of Service Connect, logs to."""
    found = {
        place: container["LogConfiguration"]
        for place, container in estate.containers().items()
    }
    for place, service in estate.of("ECS::Service").items():
        if "ServiceConnectConfiguration" in service:
            proxy = service["ServiceConnectConfiguration"]
            found[f"{place} proxy"] = proxy["LogConfiguration"]
    return found


@pytest.mark.control(94, 99)
def test_every_container_logs_to_a_group_of_ours_and_never_waits_for_it(
    estates: Estates,
) -> None:
    # A blocking driver stalls the scheduler while CloudWatch throttles.
    for estate in estates.each:
        for place, log in logs(estate).items():
            assert log["LogDriver"] == "awslogs", place
            options = log["Options"]
            assert options["awslogs-group"].strip("<>") in estate.of("Logs::LogGroup")
            assert options["mode"] == "non-blocking", place
            assert options["max-buffer-size"], place


@pytest.mark.control(95)
def test_a_frozen_service_is_noticed_and_a_slow_start_is_not(estates: Estates) -> None:
    for estate in estates.each:
        for place, service in estate.of("ECS::Service").items():
            check = estate.container_of(service)["HealthCheck"]
            assert check["StartPeriod"] >= 120, place
            assert check["Command"][0] in ("CMD", "CMD-SHELL"), place
            assert len(check["Command"]) > 1, place


@pytest.mark.control(96, 97)
def test_a_worker_is_given_all_the_time_that_fargate_gives_and_nobody_more(
    estates: Estates,
) -> None:
    # Fargate refuses more than 120; no linter sees 600.
    containers = estates.facing_the_internet.containers()
    assert all(0 < each["StopTimeout"] <= 120 for each in containers.values())
    workers = [c for c in containers.values() if c["Name"] == "worker"]
    assert len(workers) == len(WORKERS)
    assert all(worker["StopTimeout"] == 120 for worker in workers)


@pytest.mark.control(98)
def test_no_container_starves_its_task(estates: Estates) -> None:
    for place, definition in estates.usual.of("ECS::TaskDefinition").items():
        given = sum(int(each["Memory"]) for each in definition["ContainerDefinitions"])
        assert 0 < given <= int(definition["Memory"]), place


@pytest.mark.control(100, 103)
def test_code_never_runs_with_the_rights_that_start_it(estates: Estates) -> None:
    # The execution role reads secrets; a role of its own keeps them from user code.
    for estate in estates.each:
        roles = estate.of("IAM::Role")
        taken: set[str] = set()
        for place, definition in estate.of("ECS::TaskDefinition").items():
            own = {definition["TaskRoleArn"], definition["ExecutionRoleArn"]}
            assert len(own) == 2, place
            assert not own & taken, f"{place} shares a role"
            taken |= own
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
def test_every_size_is_one_that_fargate_has(estates: Estates) -> None:
    for estate in estates.each:
        for place, definition in estate.of("ECS::TaskDefinition").items():
            assert int(definition["Memory"]) in SIZES[int(definition["Cpu"])], place


NO_SECRETS = {
    "RUNTIME_KEY": "names an object in a bucket",
    "AIRFLOW__CORE__FERNET_KEY_CMD": "is a command",
}


@pytest.mark.control(104)
def test_no_plain_variable_is_named_like_a_secret(estates: Estates) -> None:
    for estate in estates.each:
        for place, container in estate.containers().items():
            plain = {each["Name"] for each in container["Environment"]}
            assert plain, place
            for name in plain - NO_SECRETS.keys():
                suspect = r"PASSWORD|PASSWD|SECRET|TOKEN|CREDENTIAL|_KEY|PRIVATE"
                assert not re.search(suspect, name), f"{place}: {name}"


@pytest.mark.control(105, 106)
def test_no_plain_value_holds_a_password_or_becomes_one(estates: Estates) -> None:
    # What {{resolve:}} finds would lie in clear in the task definition.
    for estate in estates.each:
        for place, container in estate.containers().items():
            for each in container["Environment"]:
                assert not re.search(r"://[^/@]*:[^/@]*@", each["Value"]), place
            assert "{{resolve:" not in json.dumps(container), place
            assert not re.search(r"://[^/@\s]*:[^/@\s{]+@", str(container["Command"]))


@pytest.mark.control(106)
def test_a_secret_is_handed_over_by_the_name_of_a_secret(estates: Estates) -> None:
    for estate in estates.each:
        known = {f"<{place}>" for place in estate.of("SecretsManager::Secret")}
        known.add("<Database.Cluster.MasterUserSecret.SecretArn>")
        for place, container in estate.containers().items():
            assert container["Secrets"], place
            for each in container["Secrets"]:
                assert each["ValueFrom"].partition(":")[0] in known, place


@pytest.mark.control(107)
def test_whoever_uses_the_broker_checks_its_certificate(estates: Estates) -> None:
    # A bare rediss:// checks nothing. With these two settings Airflow demands a
    # certificate of the broker; with mutual TLS it would ask us for one.
    clients = 0
    for container in estates.facing_the_internet.containers().values():
        told = {each["Name"]: each["Value"] for each in container["Environment"]}
        if "AIRFLOW__CELERY__BROKER_URL_CMD" in told:
            clients += 1
            command = told["AIRFLOW__CELERY__BROKER_URL_CMD"]
            assert command == "python -m fargate_runtime.connections broker"
            assert told["AIRFLOW__CELERY__SSL_ACTIVE"] == "True"
            assert told["AIRFLOW__CELERY__SSL_MUTUAL_TLS"] == "False"
    assert clients >= 3
    parts = {"HOST": "b.example.com", "PORT": "6379", "USER": "u", "PASSWORD": "p"}
    url = connections.broker({f"BROKER_{name}": part for name, part in parts.items()})
    assert url.startswith("rediss://")
