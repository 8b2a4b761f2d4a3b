"""Connections between components: those of the table pass, and no others."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from acceptance.check import CheckFailed, Skipped
from acceptance.local_checks import dag_egress
from local.ecs.connect_filter import Destination
from local.ecs.processes import in_control_group
from local.ecs.security_groups import SecurityGroups
from local.ecs.task import EcsTask
from local.ecs.task_firewall import AWS, Groups
from local.environment import LocalEnvironment
from templates.resources.connections import CONNECTIONS, SECURITY_GROUPS

Link = tuple[str, str, int]
"""Source and target, by their names in the table, and the port on AWS."""

AWS_SERVICES = "AWS services"
"""Stands for the table's targets that lead out of the VPC or to its endpoints."""

OUTSIDE = ("endpoints", "outbound", "s3")
PROBE_SECONDS = 60.0

CONNECT = """
import json, socket, sys
passed = []
for host, port in json.load(sys.stdin):
    try:
        socket.create_connection((host, port), 2).close()
    except PermissionError:
        continue
    except OSError:
        pass
    passed.append([host, port])
print(json.dumps(passed))
"""
"""A destination where no server listens has passed the firewall all the same."""


def exact(environment: LocalEnvironment) -> str:
    """Try every destination from a task of each component; compare with the table."""
    firewall = environment.agent.firewall
    if firewall.deviation:
        raise Skipped(firewall.deviation)
    groups = firewall.rules()
    links = {
        endpoint.destination: (_name(groups, endpoint.groups), endpoint.port)
        for endpoint in firewall.endpoints
        # Whether tasks reach the load balancer depends on the ranges of web clients.
        if endpoint.groups != groups.load_balancer
    }
    address = urlsplit(environment.emulator.endpoint_url)
    emulator = (str(address.hostname), int(address.port or 0))
    expected = {(link.source, _target(link.target), link.port) for link in CONNECTIONS}
    wrong: list[str] = []
    tried = 0
    for source, task in _tasks(environment, groups):
        passed = _passed(environment, task, [*links, emulator])
        own = task.sandbox.address
        for destination, (target, port) in links.items():
            if destination[0] == own:
                continue
            tried += 1
            if (destination in passed) != ((source, target, port) in expected):
                verb = "reaches" if destination in passed else "does not reach"
                wrong.append(f"{source} {verb} {target} on {port}")
        if emulator in passed:
            wrong.append(f"{source} reaches the emulator itself")
    if wrong:
        raise CheckFailed("; ".join(sorted(set(wrong))))
    return f"{tried} connections tried, exactly those of the table passed"


def unused(environment: LocalEnvironment) -> str:
    """Compare all connections so far with the table: none refused, and which unused."""
    firewall = environment.agent.firewall
    if firewall.deviation:
        raise Skipped(firewall.deviation)
    groups = firewall.rules()
    if refused := _refused(environment, groups):
        raise CheckFailed(f"Tasks were refused: {'; '.join(refused)}.")
    used = {
        (_name(groups, link.source), _name(groups, link.target), link.port)
        for link in firewall.used()
    }
    sources = {source for source, _, _ in used}
    table = {
        (link.source, _target(link.target), link.port)
        for link in CONNECTIONS
        if link.source in sources
    }
    idle = sorted(f"{source} to {target}" for source, target, _ in table - used)
    tail = f"; not used here: {', '.join(idle)}" if idle else ""
    return f"{len(table & used)} of {len(table)} permitted connections used{tail}"


def _refused(environment: LocalEnvironment, groups: SecurityGroups) -> list[str]:
    firewall = environment.agent.firewall
    names = {
        endpoint.destination: _name(groups, endpoint.groups)
        for endpoint in firewall.endpoints
    }
    return sorted(
        f"{_name(groups, source)} to {names.get((host, port), f'{host}:{port}')}, "
        f"{count} times"
        for (source, (host, port)), count in firewall.refused().items()
        # A check tries it.
        if host != dag_egress.UNLISTED
    )


def _tasks(
    environment: LocalEnvironment, groups: SecurityGroups
) -> Iterator[tuple[str, EcsTask]]:
    """Yield a running task of each component, by its security group's name."""
    with environment.agent.lock:
        running = [
            task
            for task in environment.agent.tasks.values()
            # A fault starts the migration job by itself, without a network.
            if task.status == "RUNNING" and task.should_run and task.security_groups
        ]
    known = {_name(groups, frozenset(task.security_groups)): task for task in running}
    yield from sorted(known.items())


def _passed(
    environment: LocalEnvironment, task: EcsTask, destinations: Iterable[Destination]
) -> set[Destination]:
    group = environment.agent.firewall.admit(task)
    command = [sys.executable, "-I", "-S", "-c", CONNECT]
    done = subprocess.run(  # noqa: S603 - the program above
        in_control_group(command, group),
        input=json.dumps(list(destinations)),
        capture_output=True,
        text=True,
        timeout=PROBE_SECONDS,
        check=True,
    )
    return {(host, port) for host, port in json.loads(done.stdout)}


def _name(groups: SecurityGroups, members: Groups) -> str:
    if members == AWS:
        return AWS_SERVICES
    described = {groups.descriptions.get(member) for member in members}
    return next(name for name, text in SECURITY_GROUPS.items() if text in described)


def _target(name: str) -> str:
    return AWS_SERVICES if name in OUTSIDE else name
