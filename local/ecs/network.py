"""Who reaches the tasks: Service Connect names and load balancers, kept up to date."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence

from local.ecs.addresses import AddressBlock
from local.ecs.load_balancer import Door
from local.ecs.model import Service, Target
from local.ecs.service_connect import Balancer
from local.ecs.task import Task

Name = tuple[str, str, int]
"""Namespace, name and port of a Service Connect endpoint."""


class Network:
    """The proxies of this rehearsal."""

    def __init__(self, addresses: AddressBlock, door: Door) -> None:
        self._addresses = addresses
        self._door = door
        self._hosts: dict[tuple[str, str], str] = {}
        self._balancers: dict[Name, Balancer] = {}

    def take(self, services: Iterable[Service]) -> None:
        """Have a proxy for every name that a service offers, and for no other."""
        wanted = {
            (service.namespace, endpoint.name, endpoint.port)
            for service in services
            for endpoint in service.endpoints
        }
        for gone in set(self._balancers) - wanted:
            self._balancers.pop(gone).close()
        for namespace, name, port in wanted - set(self._balancers):
            host = self._hosts.setdefault((namespace, name), self._addresses.next())
            here = self._addresses.port(port)
            self._balancers[namespace, name, port] = Balancer(host, here)

    def connections(self, service: Service) -> dict[tuple[str, int], tuple[str, int]]:
        """Return what a service's tasks reach by name, and where."""
        return {
            (name, port): balancer.place
            for (namespace, name, port), balancer in self._balancers.items()
            if service.namespace == namespace
        }

    def step(self, services: Mapping[str, Service], tasks: Sequence[Task]) -> None:
        """Lead to the tasks that run, and ask the load balancer how they are."""
        for service in services.values():
            own = [
                task
                for task in tasks
                if task.service_name == service.name
                and task.cluster_arn == service.cluster_arn
                and task.status == "RUNNING"
            ]
            wanted = [task for task in own if task.is_wanted]
            self._lead(service, wanted)
            self._register(service, wanted)

    def close(self) -> None:
        """Close every proxy."""
        for balancer in self._balancers.values():
            balancer.close()
        self._balancers.clear()

    def _lead(self, service: Service, tasks: Sequence[Task]) -> None:
        well = [task for task in tasks if not task.is_unhealthy] or tasks
        for endpoint in service.endpoints:
            balancer = self._balancers.get(
                (service.namespace, endpoint.name, endpoint.port)
            )
            if balancer:
                balancer.lead_to(
                    [
                        (task.place.address, task.place.port(port))
                        for task in well
                        for one in task.containers
                        for name, port in one.definition.ports.items()
                        if name == endpoint.port_name
                    ]
                )

    def _register(self, service: Service, tasks: Sequence[Task]) -> None:
        for target in service.targets:
            places = [_place(task, target) for task in tasks]
            self._door.register(target.group_arn, places)
        if not service.targets:
            return
        for task in tasks:
            states = [
                self._door.state(target.group_arn, _place(task, target))
                for target in service.targets
            ]
            task.is_in_service = all(one and one.is_healthy for one in states)
            is_in_grace = time.time() - task.started < service.grace_seconds
            task.is_refused = not is_in_grace and any(
                one and one.is_healthy is False for one in states
            )


def _place(task: Task, target: Target) -> tuple[str, int]:
    return task.place.address, task.place.port(target.port)
