"""Everything that the tasks of one page start from, reach and obey.

A page's inputs fill it, each under its own name; a setting that asks for more than
the page was given is an error of the build.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TypeVar

from compiler.interfaces import members
from compiler.wiring import Interface, WiringError
from templates.types import (
    Architecture,
    Broker,
    Cluster,
    Count,
    Database,
    Guard,
    Keys,
    Minutes,
    PoolList,
    Runtime,
    SecretArn,
    Storage,
    SubnetIds,
    Switch,
    Text,
    Url,
)

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Site:
    """Where tasks run, and what their settings and permissions are made of."""

    runtime: Runtime
    cluster: Cluster
    guard: Guard
    database: Database
    keys: Keys
    subnet_ids: SubnetIds
    architecture: Architecture
    broker: Broker | None = None
    storage: Storage | None = None
    url: Url | None = None
    has_https: Switch | None = None
    execution_api_url: Url | None = None
    worker_slots: Text | None = None
    pools: PoolList | None = None
    pool: Text | None = None
    concurrency: Count | None = None
    longest_task_minutes: Minutes | None = None
    migration_version: Text | None = None
    admin_secret_arn: SecretArn | None = None
    flower_secret_arn: SecretArn | None = None

    @classmethod
    def of(cls, given: Interface) -> Site:
        """Return the site that a page's inputs describe."""
        names = {field.name for field in fields(cls)} & members(type(given)).keys()
        return cls(**{name: getattr(given, name) for name in names})


def known(value: T | None) -> T:
    """Return what a page gave its site, or say that it did not."""
    if value is None:
        raise WiringError(
            "site.Site",
            "a component on this page needs something that the page does not give",
            "Give it to Site(...); the traceback names the setting's line",
        )
    return value
