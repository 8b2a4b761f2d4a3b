"""The workers of a pool: capacity providers, signals, queue and storage."""

from __future__ import annotations

from dataclasses import replace

import pytest
from troposphere import Ref

from compiler.wiring import Build, Template
from templates.airflow.components import WORKER
from templates.airflow.pools import Pool, own_or
from templates.cluster import ON_DEMAND, SPOT
from templates.types import EGRESS_SLOTS, DagEgress
from tests.resolver import Stack
from tests.templates.tasks import container, definition, environment, service


@pytest.mark.parametrize("share", [0, 1, 50, 99, 100])
def test_spot_and_on_demand_weights_add_up_to_100(share: int) -> None:
    weights = {
        item["CapacityProvider"]: int(item["Weight"])
        for item in service(WORKER, PoolSpotPercent=str(share))[
            "CapacityProviderStrategy"
        ]
    }
    assert weights == {ON_DEMAND: 100 - share, SPOT: share}


def test_a_full_spot_pool_has_no_on_demand_base() -> None:
    # ECS refuses a base on a provider of weight 0.
    for item in service(WORKER, PoolSpotPercent="100")["CapacityProviderStrategy"]:
        assert "Base" not in item
    assert "LaunchType" not in service(WORKER)


def test_sigterm_reaches_celery_alone() -> None:
    # D1 and D2 (apache/airflow #18066): sent to every process, it kills the tasks
    # that Celery meant to finish. And nothing in front of Celery may swallow it.
    assert environment(WORKER)["DUMB_INIT_SETSID"] == "0"
    command = container(WORKER)["Command"][3:]
    assert command[0] == "env"
    assert "sh" not in command


def test_a_worker_consumes_its_own_queue() -> None:
    command = container(WORKER)["Command"]
    assert command[-2:] == ["--queues", "given-PoolQueue"]
    # It leaves the host name alone: a worker exits if one of its name lives.
    assert "--celery-hostname" not in command


def test_workers_are_service_connect_clients_only() -> None:
    connect = service(WORKER)["ServiceConnectConfiguration"]
    assert connect["Enabled"] is True
    assert "Services" not in connect
    # Its address is an output of the stack that serves it, so that stack is first:
    # a task knows those names only that existed when it started.
    url = environment(WORKER)["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"]
    assert url == "given-ExecutionApiUrl"


def test_ephemeral_storage_is_the_pools_setting() -> None:
    # D9: what tasks leave behind fills 20 GiB.
    assert definition(WORKER)["EphemeralStorage"] == {
        "SizeInGiB": "given-PoolEphemeralStorageGiB"
    }


def test_the_proxy_logs_beside_the_worker() -> None:
    logging = service(WORKER)["ServiceConnectConfiguration"]["LogConfiguration"]
    assert logging["Options"]["awslogs-group"] == "<Workers.WorkerLog>"
    assert logging["Options"]["awslogs-stream-prefix"] == "service-connect"


def root() -> Template:
    return Template("parent", "A root.", "", Build(), is_root=True)


def test_list_of_a_pool_replaces_that_of_the_environment() -> None:
    t = root()
    own = Pool(name="heavy", queue="heavy").worker_pool(t).dag_egress
    common = DagEgress(Ref("DagEgress"))
    entries = own_or(t, own, common).slots().to_dict()
    stack = Stack((), t.to_dict(), {"DagEgress": ["22 10.1.0.0/16"]}, {}, "airflow")
    for text, expected in (("", "22 10.1.0.0/16"), ("none", "none")):
        named = {**stack.parameters, "HeavyWorkersDagEgress": [text]}
        assert replace(stack, parameters=named).resolve(entries).rstrip(",") == expected


@pytest.mark.parametrize(
    ("fixed", "expected"),
    [("", "22 10.1.0.0/16"), ("25 10.2.0.0/16", "25 10.2.0.0/16")],
)
def test_fixed_list_of_a_pool_needs_no_parameter(fixed: str, expected: str) -> None:
    t = root()
    pool = Pool(name="heavy", queue="heavy", fixed={"dag_egress": fixed})
    common = DagEgress(["22 10.1.0.0/16"], crossing="22 10.1.0.0/16")
    slots = own_or(t, pool.worker_pool(t).dag_egress, common).slots()
    assert slots.to_dict() == {"Fn::Join": [",", [expected, "," * EGRESS_SLOTS]]}
    assert "HeavyWorkersDagEgress" not in t.parameters
