"""The compiled scaling template, launched, changes a service in the emulator."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from local.ecs.alarms import ALARM
from local.ecs.application_autoscaling import ApplicationAutoscaling
from local.ecs.emulator_client import EmulatorClient
from local.ecs.metrics import Datum, Metric, MetricStore
from tests.local.emulator.cloud import Cloud, Stack

NAMESPACE = "AirflowOnFargate"
BEGIN = 1_200_000.0
TOPIC = "arn:aws:sns:us-east-1:123456789012:alarms"


class LaunchedPool:
    """A service, its scaling stack, and its auto scaling on a fake clock."""

    def __init__(self, cloud: Cloud, template: Mapping[str, Any]) -> None:
        self.cloud, self.template = cloud, template
        ecs = cloud.client("ecs")
        name = cloud.bucket
        ecs.create_cluster(clusterName=name)
        definition = ecs.register_task_definition(
            family=name, containerDefinitions=[{"name": "worker", "image": "x"}]
        )["taskDefinition"]["taskDefinitionArn"]
        ecs.create_service(
            cluster=name,
            serviceName="workers",
            taskDefinition=definition,
            desiredCount=0,
        )
        self.name = name
        self.parameters = {
            "ClusterName": name,
            "ServiceName": "workers",
            "PoolName": "default",
            "PoolMinimum": "0",
            "PoolMaximum": "4",
            "PoolFallbackMinimum": "1",
            "AlarmTopicArn": TOPIC,
        }
        self.stack: Stack = cloud.create(template, **self.parameters)
        assert self.stack.status == "CREATE_COMPLETE", cloud.failures(self.stack.id)
        self.client = EmulatorClient(
            cloud.emulator.endpoint_url,
            region=cloud.emulator.region,
            account=cloud.emulator.account,
        )
        self.scaler = ApplicationAutoscaling(self.client, MetricStore())
        self.now = BEGIN
        self.scaler.update(self.now)

    @property
    def desired(self) -> int:
        return self.client.desired(self.name, "workers")

    def round(self, **values: float) -> int:
        """Publish once, and return the desired count when that was acted on."""
        for metric, value in values.items():
            dimensions = {"ClusterName": self.name, "Pool": "default"}
            self.scaler.metrics.put(
                Metric(NAMESPACE, metric, frozenset(dimensions.items())),
                Datum.of(value, self.now + 6),
            )
        self.now += 15
        self.scaler.step(self.now)
        self.now -= 5
        return self.desired

    def states(self) -> dict[str, str]:
        """Return the states of the alarms of this stack, by their names in it."""
        return {
            name.removeprefix(f"{self.stack.name}/"): state
            for name, state in self.scaler.states().items()
            if name.startswith(f"{self.stack.name}/")
        }


@pytest.fixture
def launched(cloud: Cloud, compiled: Mapping[str, str]) -> LaunchedPool:
    return LaunchedPool(cloud, json.loads(compiled["scaling.template.json"]))


def test_deficit_and_surplus_change_the_desired_count(launched: LaunchedPool) -> None:
    assert launched.round(WorkerDeficit=3, WorkerSurplus=0) == 3
    assert launched.round(WorkerDeficit=0, WorkerSurplus=0) == 3
    assert launched.round(WorkerDeficit=0, WorkerSurplus=2) == 1
    # Others' stacks in the same emulator have services by other names.
    mine = (entry for entry in launched.scaler.activities if entry.service == "workers")
    causes = [entry.cause for entry in mine]
    assert [cause.rpartition(" by ")[2] for cause in causes] == ["+3", "-2"]


def test_every_alarm_of_the_template_is_evaluated(launched: LaunchedPool) -> None:
    compiled = {
        name
        for name, resource in launched.template["Resources"].items()
        if resource["Type"] == ALARM
    }
    assert {"Deficit", "Surplus", "Heartbeat", "BelowFallbackMinimum"} <= compiled
    assert set(launched.states()) == compiled
    assert not [
        entry for entry in launched.scaler.deviations() if launched.name in entry
    ]


def test_silence_raises_the_pool_to_its_fallback_minimum(
    launched: LaunchedPool,
) -> None:
    service = next(
        entry
        for entry in launched.client.services()
        if entry.cluster_arn.endswith(f"/{launched.name}")
    )
    for _ in range(30):
        launched.scaler.sample([service], launched.now)
        launched.round()
    assert launched.desired == 1
    assert launched.states()["Heartbeat"] == "ALARM"


def test_bounds_follow_an_update_of_the_stack(launched: LaunchedPool) -> None:
    assert launched.round(WorkerDeficit=4) == 4
    changed = {**launched.parameters, "PoolMaximum": "2"}
    updated = launched.cloud.update(launched.stack, launched.template, **changed)
    assert updated.status == "UPDATE_COMPLETE"
    launched.scaler.update(launched.now)
    assert launched.desired == 2
    launched.round(WorkerDeficit=0)
    assert launched.round(WorkerDeficit=3) == 2


def test_deleted_stack_scales_nothing(launched: LaunchedPool) -> None:
    launched.cloud.delete(launched.stack)
    launched.scaler.update(launched.now)
    assert launched.round(WorkerDeficit=4) == 0
    assert launched.states() == {}
