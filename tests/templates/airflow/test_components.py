"""The component table: secrets, health checks, ports and stop timeouts."""

from __future__ import annotations

import pytest

from fargate_runtime import health
from templates.airflow.components import (
    API_SERVER,
    AUTOSCALER,
    COMMAND,
    COMPONENTS,
    DAG_PROCESSOR,
    FLOWER,
    MIGRATION,
    SCHEDULER,
    TRIGGERER,
    VERIFICATION,
    WORKER,
    AnyComponent,
    Secret,
    containers_of,
)
from templates.resources import ports
from tests.templates.tasks import (
    container,
    definition,
    document,
    host,
    injected,
    statements,
)

# Airflow's security model, rows as it writes them, with what it says of other tasks.
MATRIX: dict[Secret, set[AnyComponent]] = {
    Secret.METADATA: {
        API_SERVER,
        SCHEDULER,
        DAG_PROCESSOR,
        TRIGGERER,
        MIGRATION,
        COMMAND,
    },
    Secret.JWT: {API_SERVER, SCHEDULER},
    Secret.API: {API_SERVER, SCHEDULER, TRIGGERER, WORKER},
    Secret.FERNET: {
        *(API_SERVER, SCHEDULER, DAG_PROCESSOR, TRIGGERER, WORKER),
        *(MIGRATION, COMMAND),
    },
    Secret.BROKER: {SCHEDULER, AUTOSCALER, WORKER, FLOWER, COMMAND},
    Secret.RESULTS: {SCHEDULER, WORKER, MIGRATION},
    Secret.SCALING: {AUTOSCALER, MIGRATION},
    Secret.FLOWER: {FLOWER},
    Secret.MASTER: {MIGRATION},
    # Both ends of the relay derive a key from it.
    Secret.ADMIN: {MIGRATION, VERIFICATION},
}

# The variables of each in a container, and the parameter with the ARN.
VARIABLES = {
    Secret.METADATA: {
        "METADATA_USER": "given-DatabaseAirflowSecretArn:username::",
        "METADATA_PASSWORD": "given-DatabaseAirflowSecretArn:password::",
    },
    Secret.JWT: {"AIRFLOW__API_AUTH__JWT_SECRET": "given-JwtSecretArn"},
    Secret.API: {"AIRFLOW__API__SECRET_KEY": "given-ApiSecretArn"},
    Secret.FERNET: {"FERNET_SECRET": "given-FernetSecretArn"},
    Secret.BROKER: {
        "BROKER_USER": "given-BrokerSecretArn:username::",
        "BROKER_PASSWORD": "given-BrokerSecretArn:password::",
    },
    Secret.RESULTS: {
        "RESULTS_USER": "given-DatabaseResultsSecretArn:username::",
        "RESULTS_PASSWORD": "given-DatabaseResultsSecretArn:password::",
    },
    Secret.SCALING: {
        "SCALING_USER": "given-DatabaseScalingSecretArn:username::",
        "SCALING_PASSWORD": "given-DatabaseScalingSecretArn:password::",
    },
    Secret.FLOWER: {
        "FLOWER_USER": "given-FlowerSecretArn:username::",
        "FLOWER_PASSWORD": "given-FlowerSecretArn:password::",
    },
    Secret.MASTER: {
        "MASTER_USER": "given-DatabaseAdminSecretArn:username::",
        "MASTER_PASSWORD": "given-DatabaseAdminSecretArn:password::",
    },
    Secret.ADMIN: {
        "ADMIN_USER": "given-AdminSecretArn:username::",
        "ADMIN_PASSWORD": "given-AdminSecretArn:password::",
    },
}

each_component = pytest.mark.parametrize("component", COMPONENTS, ids=lambda c: c.name)


def test_secrets_follow_airflows_security_model() -> None:
    # What a component holds, its code holds: C6, D10, and the reason why
    # "the same secret everywhere" is wrong advice.
    holders_by_secret = {
        secret: {c for c in COMPONENTS if secret in c.secrets} for secret in Secret
    }
    assert holders_by_secret == MATRIX


@each_component
def test_a_container_has_exactly_its_secrets(component: AnyComponent) -> None:
    expected: dict[str, str] = {}
    for secret, holders in MATRIX.items():
        expected |= VARIABLES[secret] if component in holders else {}
    assert injected(component) == expected


@each_component
def test_the_execution_role_reads_exactly_the_containers_secrets(
    component: AnyComponent,
) -> None:
    # Control 127: a role that may read one secret more makes the matrix a rumour.
    (reading,) = [
        s["Resource"]
        for s in statements(component, "Execution")
        if "secretsmanager:GetSecretValue" in s["Action"]
    ]
    sources = [
        source
        for resident in containers_of(host(component))
        for source in injected(resident).values()
    ]
    assert sorted(reading) == sorted({source.partition(":")[0] for source in sources})


def test_workers_have_no_metadata_secrets() -> None:
    # DAG authors hold whatever a worker holds: no parameter brings these in at all.
    parameters = document("Workers")["Parameters"].keys()
    assert not parameters & {
        "DatabaseAirflowSecretArn",
        "DatabaseAdminSecretArn",
        "DatabaseScalingSecretArn",
        "JwtSecretArn",
        "AdminSecretArn",
    }


def test_a_second_fernet_key_exists_only_during_a_rotation() -> None:
    # ECS does not start a task whose secret it cannot find.
    arn = "given-PreviousFernetSecretArn"
    while_rotating = injected(WORKER, PreviousFernetSecretArn=arn)
    assert while_rotating["FERNET_SECRET_PREVIOUS"] == arn
    readable = statements(WORKER, "Execution", PreviousFernetSecretArn=arn)
    assert any(arn in s["Resource"] for s in readable)


@each_component
def test_services_have_health_checks(component: AnyComponent) -> None:
    # Control 95, within ECS's limits. A one-off task ends, and its status tells.
    if not component.is_service:
        assert "HealthCheck" not in container(component)
        return
    check = container(component)["HealthCheck"]
    assert check["Command"][0] == "CMD-SHELL"
    assert 120 <= check["StartPeriod"] <= 300
    assert 5 <= check["Interval"] <= 300
    assert health.TIMEOUT_SECONDS * 2 < check["Timeout"] <= min(60, check["Interval"])
    assert 1 <= check["Retries"] <= 10


@each_component
def test_health_checks_use_existing_endpoints(component: AnyComponent) -> None:
    # F2: /health of the API server is gone, and /api/v2/monitor/health is always 200.
    command = component.health.command if component.health else ""
    if "fargate_runtime.health" in command:
        assert command.split()[-1] in health.COMPONENTS
    elif component is API_SERVER:
        assert command.endswith(f"//localhost:{ports.API_SERVER}/api/v2/version")
    elif component is FLOWER:
        # Behind its prefix, and without its login.
        assert command.endswith(f"//localhost:{ports.FLOWER}/flower/healthcheck")
    elif component is SCHEDULER:
        assert command.endswith(f"//localhost:{ports.SCHEDULER_HEALTH}/health")
    else:
        assert not command


@pytest.mark.parametrize("component", [WORKER, API_SERVER], ids=lambda c: c.name)
def test_components_that_finish_requests_have_the_longest_stop_timeout(
    component: AnyComponent,
) -> None:
    assert container(component)["StopTimeout"] == 120


@each_component
def test_container_ports_match_security_group_rules(component: AnyComponent) -> None:
    opened: dict[AnyComponent, int] = {
        API_SERVER: ports.API_SERVER,
        TRIGGERER: ports.TRIGGERER_LOGS,
        WORKER: ports.WORKER_LOGS,
        FLOWER: ports.FLOWER,
    }
    mapped = [m["ContainerPort"] for m in container(component).get("PortMappings", [])]
    assert mapped == ([opened[component]] if component in opened else [])


def test_the_autoscaler_is_not_essential_and_restarts_in_place() -> None:
    # E3: a container beside the scheduler may fail, and restarts in place. ECS takes no
    # shorter period, and restarts no container that ran for less.
    properties = container(AUTOSCALER)
    assert properties["Essential"] is False
    assert properties["RestartPolicy"] == {"Enabled": True, "RestartAttemptPeriod": 60}
    for component in COMPONENTS:
        if component is not AUTOSCALER:
            assert container(component)["Essential"] is True
            assert "RestartPolicy" not in container(component)


@pytest.mark.parametrize("memory", ["1024", "2048", "8192", "30720", "122880"])
def test_container_memory_adds_up_to_the_task(
    memory: str,
) -> None:
    # Control 98: Fargate refuses a task whose containers want more than it has; and
    # without limits the autoscaler's growth would be the scheduler's end.
    sizes = {
        item["Name"]: int(item["Memory"])
        for item in definition(SCHEDULER, SchedulerSizeMemory=memory)[
            "ContainerDefinitions"
        ]
    }
    assert sizes == {"scheduler": int(memory) - 256, "autoscaler": 256}


def test_only_components_with_author_code_have_extra_policies() -> None:
    authors = {c for c in COMPONENTS if c.runs_author_code}
    assert authors == {WORKER, DAG_PROCESSOR, TRIGGERER}
