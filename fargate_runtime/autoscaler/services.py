"""The pools' ECS services: how many workers are wanted, run and start."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

POOL_TAG = "Pool"
"""Every service of workers carries it, with the name of its pool."""

AT_ONCE = 10
"""Services that one call describes."""

LOOK_AGAIN_SECONDS = 300.0
"""How often to look for services that came, or that carry another tag."""

AWS_ERRORS = (BotoCoreError, ClientError)


class Service(NamedTuple):
    """One pool's service."""

    desired: int
    running: int
    pending: int
    revision: str
    """The task definition that it deploys, as ``family:revision``."""


class Services:
    """All services of the cluster that carry the tag of a pool."""

    def __init__(self, ecs: Any, cluster: str) -> None:
        self._ecs = ecs
        self._cluster = cluster
        self._arns: list[str] = []
        self._looked = -math.inf

    def pools(self, wanted: Iterable[str]) -> tuple[dict[str, Service], list[str]]:
        """Return each pool's service, and what does not fit.

        Raises one of ``AWS_ERRORS``. While one of the ``wanted`` pools has no service,
        it is looked for each time: its stack may come later. A pool with two services
        is left out: nobody knows which of them is meant.
        """
        if time.monotonic() - self._looked >= LOOK_AGAIN_SECONDS:
            found = [*self._describe([*self._list()])]
            self._arns = [one["serviceArn"] for one in found if _pool(one)]
            self._looked = time.monotonic()
        else:
            found = [*self._describe(self._arns)]
        by_pool: dict[str, list[Any]] = defaultdict(list)
        for one in found:
            if _pool(one) and one["status"] == "ACTIVE":
                by_pool[_pool(one)].append(one)
        if not by_pool.keys() >= set(wanted):
            self._looked = -math.inf
        problems = [
            f"pool {pool!r} has {len(services)} services: "
            + ", ".join(sorted(one["serviceName"] for one in services))
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
        for start in range(0, len(arns), AT_ONCE):
            told = self._ecs.describe_services(
                cluster=self._cluster,
                services=list(arns[start : start + AT_ONCE]),
                include=["TAGS"],
            )
            yield from told["services"]


def _pool(service: Any) -> str:
    tags = {tag["key"]: tag["value"] for tag in service.get("tags", ())}
    return str(tags.get(POOL_TAG, ""))


def _service(described: Any) -> Service:
    primary = [
        deployment["taskDefinition"]
        for deployment in described.get("deployments", ())
        if deployment.get("status") == "PRIMARY"
    ]
    definition = primary[0] if primary else described["taskDefinition"]
    return Service(
        desired=described["desiredCount"],
        running=described["runningCount"],
        pending=described["pendingCount"],
        revision=definition.rpartition("/")[2],
    )
