"""The ECS services of the pools: desired, running and pending workers."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from fargate_runtime.contract import POOL_TAG

SERVICES_PER_CALL = 10
"""Limit of DescribeServices."""

DISCOVERY_SECONDS = 300.0
"""How often to list services, to find new ones and changed tags."""

AWS_ERRORS = (BotoCoreError, ClientError)


class PoolService(NamedTuple):
    """One pool's service."""

    desired: int
    running: int
    pending: int
    revision: str
    """The task definition that it deploys, as ``family:revision``."""


class PoolServices:
    """All services of the cluster with the tag of a pool."""

    def __init__(self, ecs: Any, cluster: str) -> None:
        self._ecs = ecs
        self._cluster = cluster
        self._arns: list[str] = []
        self._listed_at = -math.inf

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
    primary = [
        deployment["taskDefinition"]
        for deployment in described.get("deployments", ())
        if deployment.get("status") == "PRIMARY"
    ]
    definition = primary[0] if primary else described["taskDefinition"]
    return PoolService(
        desired=described["desiredCount"],
        running=described["runningCount"],
        pending=described["pendingCount"],
        revision=definition.rpartition("/")[2],
    )
