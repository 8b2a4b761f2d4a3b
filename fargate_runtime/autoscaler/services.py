"""The ECS services of the pools, and the deployment of each worker."""

from __future__ import annotations

import math
import re
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from fargate_runtime.contract import POOL_TAG

SERVICES_PER_CALL = 10
"""Limit of DescribeServices."""

TASKS_PER_CALL = 100
"""Limit of DescribeTasks."""

TASK_ID = re.compile(r"[0-9a-f-]{32,36}")
"""ECS refuses a whole call for one ID of another form, which a report may contain."""

KNOWN_TASKS = 20_000
"""Deployments to remember: those of all workers, with some that have ended."""

DISCOVERY_SECONDS = 300.0
"""How often to list services, to find new ones and changed tags."""

AWS_ERRORS = (BotoCoreError, ClientError)


class PoolService(NamedTuple):
    """One pool's service."""

    desired: int
    running: int
    pending: int
    deployment: str
    """ID of its primary deployment."""


class PoolServices:
    """All services of the cluster with the tag of a pool."""

    def __init__(self, ecs: Any, cluster: str) -> None:
        self._ecs = ecs
        self._cluster = cluster
        self._arns: list[str] = []
        self._listed_at = -math.inf
        self._deployments: dict[str, str] = {}
        """ID of the deployment by task ID, the last requested at the end."""

    def pools(self, names: Iterable[str]) -> tuple[dict[str, PoolService], list[str]]:
        """Return each pool's service, and problems.

        Raises one of ``AWS_ERRORS``. While one of the ``names`` has no service,
        services are listed each time: its stack may come later. A pool with two
        services is left out: which of them is meant is unknown.
        """
        if time.monotonic() - self._listed_at >= DISCOVERY_SECONDS:
            services = [*self._describe([*self._list()])]
            self._arns = [each["serviceArn"] for each in services if _pool(each)]
            self._listed_at = time.monotonic()
        else:
            services = [*self._describe(self._arns)]
        by_pool: dict[str, list[Any]] = defaultdict(list)
        for service in services:
            if _pool(service) and service["status"] == "ACTIVE":
                by_pool[_pool(service)].append(service)
        if not by_pool.keys() >= set(names):
            self._listed_at = -math.inf
        problems = [
            f"Pool {pool!r} has {len(services)} services: "
            + ", ".join(sorted(service["serviceName"] for service in services))
            for pool, services in sorted(by_pool.items())
            if len(services) > 1
        ]
        pools = {
            pool: _service(services[0])
            for pool, services in by_pool.items()
            if len(services) == 1
        }
        return pools, problems

    def deployments(self, tasks: Iterable[str]) -> Mapping[str, str]:
        """Return the ID of the deployment that started each task, by task ID.

        Raises one of ``AWS_ERRORS``. A task that ECS does not show, as it may be with
        a new one, is missing. The answers never change, so each task is read once.
        """
        requested = [task for task in tasks if TASK_ID.fullmatch(task)]
        unknown = [task for task in requested if task not in self._deployments]
        for start in range(0, len(unknown), TASKS_PER_CALL):
            response = self._ecs.describe_tasks(
                cluster=self._cluster, tasks=unknown[start : start + TASKS_PER_CALL]
            )
            for task in response["tasks"]:
                task_id = task["taskArn"].rpartition("/")[2]
                self._deployments[task_id] = task.get("startedBy", "")
        deployments = {
            task: self._deployments.pop(task)
            for task in requested
            if task in self._deployments
        }
        self._deployments |= deployments
        for task in [*self._deployments][:-KNOWN_TASKS]:
            del self._deployments[task]
        return self._deployments

    def _list(self) -> Iterator[str]:
        pages = self._ecs.get_paginator("list_services").paginate(
            cluster=self._cluster, PaginationConfig={"PageSize": 100}
        )
        for page in pages:
            yield from page["serviceArns"]

    def _describe(self, arns: Sequence[str]) -> Iterator[Any]:
        for start in range(0, len(arns), SERVICES_PER_CALL):
            response = self._ecs.describe_services(
                cluster=self._cluster,
                services=list(arns[start : start + SERVICES_PER_CALL]),
                include=["TAGS"],
            )
            yield from response["services"]


def _pool(service: Any) -> str:
    tags = {tag["key"]: tag["value"] for tag in service.get("tags", ())}
    return str(tags.get(POOL_TAG, ""))


def _service(described: Any) -> PoolService:
    return PoolService(
        desired=described["desiredCount"],
        running=described["runningCount"],
        pending=described["pendingCount"],
        deployment=next(
            deployment["id"]
            for deployment in described["deployments"]
            if deployment["status"] == "PRIMARY"
        ),
    )
