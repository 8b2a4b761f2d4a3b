"""The component table: who holds what, how each is known to be well, how it stops."""

from __future__ import annotations

import pytest

from fargate_runtime import health
from templates.airflow import ports
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
    WORKER,
    Component,
    Secret,
    in_task_of,
)
from tests.templates.tasks import (
    container,
    definition,
    document,
    host,
    injected,
    statements,
)

# Airflow's security model, rows as it writes them, with what it says of other tasks.
MATRIX = {
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
    Secret.ADMIN: {MIGRATION},
}

# What each looks like in a container: the variable, and the parameter with the ARN.
LOOKS = {
    Secret.METADATA: {
        "METADATA_USER": "given-DatabaseAirflowSecretArn:username::",
        "METADATA_PASSWORD": "given-DatabaseAirflowSecretArn:password::",
    },
    Secret.JWT: {"AIRFLOW__API_AUTH__JWT_SECRET": "given-KeysJwtSecretArn"},
    Secret.API: {"AIRFLOW__API__SECRET_KEY": "given-KeysApiSecretArn"},
    Secret.FERNET: {"FERNET_SECRET": "given-KeysFernetSecretArn"},
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


def test_the_table_is_the_security_model() -> None:
    # What a component holds, whoever gets into it holds: C6, D10, and the reason why
    # "the same secret everywhere" is wrong advice.
    held = {secret: {c for c in COMPONENTS if secret in c.secrets} for secret in Secret}
    assert held == MATRIX


@each_component
def test_a_container_is_handed_exactly_its_secrets(component: Component) -> None:
    expected: dict[str, str] = {}
    for secret, holders in MATRIX.items():
        expected |= LOOKS[secret] if component in holders else {}
    assert injected(component) == expected


@each_component
def test_the_execution_role_reads_exactly_what_is_handed_over(
    component: Component,
) -> None:
    # Control 127: a role that may read one secret more makes the matrix a rumour.
    (reading,) = [
        s["Resource"]
        for s in statements(component, "Execution")
        if "secretsmanager:GetSecretValue" in s["Action"]
    ]
    handed = [
        source
        for resident in in_task_of(host(component))
        for source in injected(resident).values()
    ]
    assert sorted(reading) == sorted({source.partition(":")[0] for source in handed})


def test_a_worker_is_given_no_way_to_the_metadata() -> None:
    # DAG authors hold whatever a worker holds: no parameter brings these in at all.
    parameters = document("Workers")["Parameters"].keys()
    assert not parameters & {
        "DatabaseAirflowSecretArn",
        "DatabaseAdminSecretArn",
        "DatabaseScalingSecretArn",
        "KeysJwtSecretArn",
        "AdminSecretArn",
    }


def test_two_fernet_keys_are_known_only_while_one_replaces_the_other() -> None:
    # ECS does not start a task whose secret it cannot find.
    arn = "given-KeysPreviousFernetSecretArn"
    while_rotating = injected(WORKER, KeysPreviousFernetSecretArn=arn)
    assert while_rotating["FERNET_SECRET_PREVIOUS"] == arn
    readable = statements(WORKER, "Execution", KeysPreviousFernetSecretArn=arn)
    assert any(arn in s["Resource"] for s in readable)


@each_component
def test_a_service_is_asked_whether_it_is_well(component: Component) -> None:
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
def test_a_health_check_asks_what_exists(component: Component) -> None:
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


@each_component
def test_stopping_takes_as_long_as_fargate_allows_at_most(component: Component) -> None:
    # Controls 96 and 97: 30 seconds kill tasks, and Fargate refuses 600.
    assert container(component)["StopTimeout"] <= 120


@pytest.mark.parametrize("component", [WORKER, API_SERVER], ids=lambda c: c.name)
def test_what_finishes_its_work_first_is_given_all_the_time(
    component: Component,
) -> None:
    assert container(component)["StopTimeout"] == 120


@each_component
def test_ports_are_those_that_the_rules_open(component: Component) -> None:
    opened = {
        API_SERVER: ports.API_SERVER,
        TRIGGERER: ports.TRIGGERER_LOGS,
        WORKER: ports.WORKER_LOGS,
        FLOWER: ports.FLOWER,
    }
    mapped = [m["ContainerPort"] for m in container(component).get("PortMappings", [])]
    assert mapped == ([opened[component]] if component in opened else [])


def test_the_autoscaler_never_takes_the_scheduler_with_it() -> None:
    # E3: whoever is beside the scheduler may fail, and is started again in place. ECS
    # takes no shorter period, and starts nothing again that did not run for so long.
    made = container(AUTOSCALER)
    assert made["Essential"] is False
    assert made["RestartPolicy"] == {"Enabled": True, "RestartAttemptPeriod": 60}
    for component in COMPONENTS:
        if component is not AUTOSCALER:
            assert container(component)["Essential"] is True
            assert "RestartPolicy" not in container(component)


@pytest.mark.parametrize("memory", ["1024", "2048", "8192", "30720", "122880"])
def test_the_autoscaler_takes_its_memory_from_the_scheduler_and_no_more(
    memory: str,
) -> None:
    # Control 98: Fargate refuses a task whose containers want more than it has; and
    # without limits the autoscaler's growth would be the scheduler's end.
    sizes = {
        one["Name"]: int(one["Memory"])
        for one in definition(SCHEDULER, SchedulerSizeMemory=memory)[
            "ContainerDefinitions"
        ]
    }
    assert sizes == {"scheduler": int(memory) - 256, "autoscaler": 256}


def test_only_author_code_takes_the_operators_policies() -> None:
    authors = {c for c in COMPONENTS if c.runs_author_code}
    assert authors == {WORKER, DAG_PROCESSOR, TRIGGERER}
