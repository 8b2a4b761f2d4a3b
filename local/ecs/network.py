"""Connections to tasks: Service Connect proxies and load balancer targets."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import urlsplit

from local.ecs.addresses import AddressBlock
from local.ecs.load_balancer import LoadBalancer
from local.ecs.model import EcsService, LoadBalancerTarget
from local.ecs.security_groups import SecurityGroups
from local.ecs.service_connect import ServiceConnectProxy
from local.ecs.task import EcsTask
from local.ecs.task_firewall import Endpoint
from local.ecs.task_registry import TaskRegistry

Name = tuple[str, str, int]
"""Namespace, name and port of a Service Connect endpoint."""


class TaskNetwork:
    """Keeps proxies and targets in step with the tasks that run."""

    def __init__(self, addresses: AddressBlock, load_balancer: LoadBalancer) -> None:
        self._addresses = addresses
        self._load_balancer = load_balancer
        self._hosts: dict[tuple[str, str], str] = {}
        self._proxies: dict[Name, ServiceConnectProxy] = {}

    def update(self, services: Iterable[EcsService]) -> None:
        """Keep a proxy for every Service Connect name, and no other."""
        names = {
            (service.namespace, endpoint.name, endpoint.port)
            for service in services
            for endpoint in service.endpoints
        }
        for unused in set(self._proxies) - names:
            self._proxies.pop(unused).close()
        for namespace, name, port in names - set(self._proxies):
            host = self._hosts.setdefault((namespace, name), self._addresses.next())
            local_port = self._addresses.port(port)
            self._proxies[namespace, name, port] = ServiceConnectProxy(host, local_port)

    def connections(
        self, service: EcsService
    ) -> dict[tuple[str, int], tuple[str, int]]:
        """Return what a service's tasks reach by name, and where."""
        return {
            (name, port): proxy.address
            for (namespace, name, port), proxy in self._proxies.items()
            if service.namespace == namespace
        }

    def endpoints(
        self,
        services: Iterable[EcsService],
        tasks: Iterable[EcsTask],
        groups: SecurityGroups,
    ) -> Iterator[Endpoint]:
        """Yield what tasks may connect to: names, other tasks, and the listeners."""
        running = [task for task in tasks if not task.is_over]
        for service in services:
            of_service = [task for task in running if task.is_of(service)]
            for each in service.endpoints:
                proxy = self._proxies.get((service.namespace, each.name, each.port))
                ports = {
                    container.definition.ports.get(each.port_name)
                    for task in of_service
                    for container in task.containers
                }
                for port in ports - {None}:
                    if proxy and port:
                        own = frozenset(service.security_groups)
                        yield Endpoint(proxy.address, own, port)
        for task in running:
            own = frozenset(task.security_groups)
            for port in groups.ports_of(own):
                address = task.sandbox.address, task.sandbox.port(port)
                yield Endpoint(address, own, port)
        for port, url in self._load_balancer.urls().items():
            parts = urlsplit(url)
            if parts.hostname and parts.port:
                address = parts.hostname, parts.port
                yield Endpoint(address, groups.load_balancer, port)

    def step(self, registry: TaskRegistry) -> None:
        """Route to the tasks that run, and take their health from the load balancer."""
        for state in list(registry.services.values()):
            service = state.service
            running = [
                task
                for task in registry.tasks_of(service)
                if task.status == "RUNNING" and task.should_run
            ]
            self._route(service, running)
            self._register(service, running)

    def close(self) -> None:
        """Close every proxy."""
        for proxy in self._proxies.values():
            proxy.close()
        self._proxies.clear()

    def _route(self, service: EcsService, tasks: Sequence[EcsTask]) -> None:
        healthy = [task for task in tasks if not task.is_unhealthy] or tasks
        for endpoint in service.endpoints:
            proxy = self._proxies.get((service.namespace, endpoint.name, endpoint.port))
            if proxy:
                proxy.route_to(
                    [
                        (task.sandbox.address, task.sandbox.port(port))
                        for task in healthy
                        for container in task.containers
                        for name, port in container.definition.ports.items()
                        if name == endpoint.port_name
                    ]
                )

    def _register(self, service: EcsService, tasks: Sequence[EcsTask]) -> None:
        for target in service.targets:
            addresses = [_address(task, target) for task in tasks]
            self._load_balancer.register(target.group_arn, addresses)
        if not service.targets:
            return
        for task in tasks:
            states = [
                self._load_balancer.state(target.group_arn, _address(task, target))
                for target in service.targets
            ]
            task.is_in_service = all(state and state.is_healthy for state in states)
            is_in_grace = time.time() - task.started < service.grace_seconds
            task.is_refused = not is_in_grace and any(
                state and state.is_healthy is False for state in states
            )


def _address(task: EcsTask, target: LoadBalancerTarget) -> tuple[str, int]:
    return task.sandbox.address, task.sandbox.port(target.port)
