"""HTTP stub of the ECS and CloudWatch calls that the autoscaler makes."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from local.ecs.web import HttpRequest, HttpResponse, HttpServer

ARN = "arn:aws:ecs:eu-west-1:123456789012"


def service(
    pool: str,
    *,
    desired: int = 0,
    running: int = 0,
    pending: int = 0,
    deployment: str = "ecs-svc/1",
) -> dict[str, Any]:
    """Return a service as DescribeServices tells it."""
    return {
        "serviceArn": f"{ARN}:service/cluster/{pool}",
        "serviceName": pool,
        "status": "ACTIVE",
        "desiredCount": desired,
        "runningCount": running,
        "pendingCount": pending,
        "deployments": [{"id": deployment, "status": "PRIMARY"}],
        "tags": [{"key": "airflow:pool", "value": pool}],
    }


def described_tasks(started_by: Mapping[str, str]) -> dict[str, Any]:
    """Return tasks as DescribeTasks tells them, by the deployment that started each."""
    return {
        "tasks": [
            {"taskArn": f"{ARN}:task/cluster/{task}", "startedBy": deployment}
            for task, deployment in started_by.items()
        ]
    }


@dataclass
class FakeAws:
    """Two services of AWS on entry port."""

    services: list[dict[str, Any]] = field(default_factory=list)
    away: set[str] = field(default_factory=set)
    """Calls that fail."""

    calls: list[str] = field(default_factory=list)
    published: list[tuple[float, dict[tuple[str, str], float]]] = field(
        default_factory=list
    )
    """When each PutMetricData came (monotonic), and its values by metric and pool."""

    data: list[dict[str, Any]] = field(default_factory=list)
    """The last call's data, as they were sent."""

    def __post_init__(self) -> None:
        self._server = HttpServer(self._respond)
        self.url, self.close = self._server.url, self._server.close

    def _respond(self, request: HttpRequest) -> HttpResponse:
        body = request.body
        if request.headers["Content-Encoding"] == "gzip":
            body = gzip.decompress(body)
        call = request.headers["X-Amz-Target"].rpartition(".")[2]
        status, answer = self.answer(call, json.loads(body))
        return HttpResponse(status, json.dumps(answer).encode())

    def answer(self, call: str, body: Any) -> tuple[int, Any]:
        """Return the status and the answer of a call."""
        self.calls.append(call)
        if call in self.away:
            return 500, {"__type": "ServerException", "message": "away"}
        if call == "ListServices":
            return 200, {
                "serviceArns": [entry["serviceArn"] for entry in self.services]
            }
        if call == "DescribeServices":
            assert len(body["services"]) <= 10
            by_arn = {entry["serviceArn"]: entry for entry in self.services}
            services = [by_arn[arn] for arn in body["services"] if arn in by_arn]
            gone = [arn for arn in body["services"] if arn not in by_arn]
            return 200, {
                "services": services,
                "failures": [{"arn": arn, "reason": "MISSING"} for arn in gone],
            }
        if call == "DescribeTasks":
            return 200, described_tasks(dict.fromkeys(body["tasks"], "ecs-svc/1"))
        assert call == "PutMetricData", call
        assert body["Namespace"] == "AirflowOnFargate"
        values = {}
        for entry in body["MetricData"]:
            named = {each["Name"]: each["Value"] for each in entry["Dimensions"]}
            assert named["ClusterName"] == "cluster"
            values[entry["MetricName"], named.get("Pool", "")] = entry["Value"]
        self.published.append((time.monotonic(), values))
        self.data = body["MetricData"]
        return 200, {}
