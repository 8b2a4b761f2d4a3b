"""Inputs that a component's tasks need, and so the template that holds them.

An environment variable or a permission is computed from the context of the components
it is for: mypy refuses a scheduler's variable that reads ``inputs.pool``. A template's
own ``Inputs`` is a subclass of the contexts of its components.
"""

from __future__ import annotations

from compiler.wiring import Interface, about
from templates.airflow.platform import Platform
from templates.airflow.pool_list import PoolList
from templates.airflow.pools import WorkerPool
from templates.types import Text, Url


class TaskInputs(Interface):
    """The context of every component."""

    platform: Platform = about("What every task runs on.", flat=True)


class ServiceInputs(TaskInputs):
    """The context of what starts after the migration job."""

    migration_version: Text = about("Version that the migration job has prepared.")


class AutoscalerInputs(ServiceInputs):
    """The context of the autoscaler."""

    pools: PoolList = about("Settings of all worker pools.")


class WorkerInputs(ServiceInputs):
    """The context of the workers of one pool."""

    pool: WorkerPool = about("Settings of the pool.")
    secret_environment: Text = about("Secret variables of the pool's workers.")
    execution_api_url: Url = about("Execution API, inside the network.")
