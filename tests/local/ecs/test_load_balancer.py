"""The load proxy and Service Connect: who is let through, and to whom."""

from __future__ import annotations

import json
import socket
import time
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from local.ecs import EcsAgent
from local.ecs.emulator_client import Listener, ListenerRule, TargetGroup
from local.ecs.load_balancer import RegisteredTarget, TargetGroupState
from local.ecs.model import (
    ContainerDefinition,
    LoadBalancerTarget,
    ServiceConnectEndpoint,
)
from local.ecs.service_connect import ServiceConnectProxy
from tests.local.ecs.fakes import FakeEmulator, free_port, script, tasks, until

pytestmark = pytest.mark.slow

GROUP = "arn:aws:elasticloadbalancing:eu-central-1:000000000000:targetgroup/api/1"
REFUSED = {
    "Type": "fixed-response",
    "FixedResponseConfig": {
        "StatusCode": "404",
        "ContentType": "text/plain",
        "MessageBody": "Not found.",
    },
}
FORWARDED = {"Type": "forward", "TargetGroupArn": GROUP}
SERVER = """
import http.server, json, os, socket
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"path": self.path, "from": socket.gethostname(),
                           **{k.lower(): v for k, v in self.headers.items()}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("0.0.0.0", PORT), Handler).serve_forever()
"""


def paths(*patterns: str, expressions: tuple[str, ...] = ()) -> dict[str, object]:
    config = {"Values": list(patterns), "RegexValues": list(expressions)}
    return {"Field": "path-pattern", "PathPatternConfig": config}


def rules() -> tuple[ListenerRule, ...]:
    """Return the listener's rules in the form that the templates compile."""
    return (
        ListenerRule(1, (paths("/execution", "/execution/*"),), REFUSED),
        ListenerRule(2, (paths(expressions=("^/[^/?]*%.*$", "^//.*$")),), REFUSED),
        ListenerRule(100, (paths("/*"),), FORWARDED),
        ListenerRule(float("inf"), (), REFUSED),
    )


def get(url: str, path: str, host: str = "") -> tuple[int, str]:
    at = urlsplit(url)
    link = HTTPConnection(str(at.hostname), at.port, timeout=10)
    # putrequest sends the path as it is, disguised or not.
    link.putrequest("GET", path, skip_host=bool(host))
    if host:
        link.putheader("Host", host)
    link.endheaders()
    answer = link.getresponse()
    try:
        return answer.status, answer.read().decode()
    finally:
        link.close()


def open_door(agent: EcsAgent, emulator: FakeEmulator, count: int = 1) -> str:
    port = free_port()
    emulator.doors = [Listener("listener", 80, "HTTP", rules())]
    emulator.groups = [TargetGroup(GROUP, "/health", "200-299", 0.1, 2, 2, 2)]
    container = ContainerDefinition(
        name="api",
        command=script(SERVER.replace("PORT", str(port))),
        ports={"api": port},
    )
    emulator.serve(
        emulator.define(1, container), count, targets=(LoadBalancerTarget(GROUP, port),)
    )
    until(agent.is_steady)
    return agent.listener_urls()[80]


def test_pages_are_led_to_the_tasks_and_execution_is_refused(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    url = open_door(agent, emulator)
    status, body = get(url, "/home?x=1", host="airflow.example.com")
    assert status == 200
    found = json.loads(body)
    assert found["path"] == "/home?x=1"
    assert found["host"] == "airflow.example.com"
    assert found["x-forwarded-proto"] == "http"
    assert found["x-forwarded-for"] == "127.0.0.1"
    for path in (
        *("/execution", "/execution/health", "/%65xecution/health"),
        *("//execution/health", "http://x/execution/health"),
    ):
        assert get(url, path) == (404, "Not found."), path


def test_two_tasks_share_the_requests(agent: EcsAgent, emulator: FakeEmulator) -> None:
    url = open_door(agent, emulator, 2)
    # Both idle: whoever has fewer open requests, so keep one busy at a time.
    addresses = {task.sandbox.address for task in tasks(agent)}
    group = agent._load_balancer._groups[GROUP]
    found = set()
    for address in addresses:
        for place, target in group.targets.items():
            target.open_requests = int(place[0] != address)
        found.add(json.loads(get(url, "/")[1])["from"])
    assert found == addresses


def test_a_service_waits_for_its_targets_to_be_healthy(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    emulator.doors = [Listener("listener", 80, "HTTP", rules())]
    emulator.groups = [TargetGroup(GROUP, "/health", "200", 0.1, 2, 2, 2)]
    silent = ContainerDefinition(
        name="api", command=script("import time; time.sleep(600)")
    )
    emulator.serve(
        emulator.define(1, silent), targets=(LoadBalancerTarget(GROUP, free_port()),)
    )
    task = until(lambda: tasks(agent))[0]
    # It runs and nobody would be served: ECS gives it up, for the load proxy's sake.
    until(lambda: task.is_over)
    assert task.stopped_reason == "Task failed ELB health checks"
    assert get(agent.listener_urls()[80], "/")[0] in {502, 503}


def test_a_redirect_leads_to_the_other_listener(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    port = {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}
    away = {"Type": "redirect", "RedirectConfig": port}
    emulator.doors = [
        Listener("http", 80, "HTTP", (ListenerRule(float("inf"), (), away),)),
        Listener("https", 443, "HTTPS", rules()),
    ]
    emulator.serve(
        emulator.define(1, ContainerDefinition(name="a", command=script(""))),
        0,
        targets=(LoadBalancerTarget(GROUP, 1),),
    )
    doors = until(agent.listener_urls)
    at = urlsplit(doors[80])
    link = HTTPConnection(str(at.hostname), at.port, timeout=10)
    link.request("GET", "/home?x=1")
    answer = link.getresponse()
    assert answer.status == 301
    assert answer.getheader("Location") == f"{doors[443]}/home?x=1"


def test_a_new_target_is_given_up_no_sooner_for_being_asked_often() -> None:
    # Otherwise a probe of each three seconds would condemn a server that starts.
    now = time.monotonic()
    group = TargetGroupState(TargetGroup(GROUP, "/", "200", 15, 10, 2, 5))
    new = RegisteredTarget(("127.0.0.1", 1), registered=now)
    for _ in range(20):
        group.count(new, is_good=False)
    assert new.is_healthy is None
    new.registered = now - 60
    group.count(new, is_good=False)
    assert new.is_healthy is False
    group.count(new, is_good=True)
    assert new.is_healthy is False
    group.count(new, is_good=True)
    assert new.is_healthy


def test_service_connect_leads_to_a_task_that_answers() -> None:
    def answer(listener: socket.socket, text: bytes) -> None:
        link, _ = listener.accept()
        link.sendall(text)
        link.close()

    with socket.create_server(("127.0.0.1", 0)) as one:
        dead = free_port()
        proxy = ServiceConnectProxy("127.0.0.1", free_port())
        proxy.route_to([("127.0.0.1", dead), one.getsockname()])
        for text in (b"first", b"second"):
            with socket.create_connection(proxy.address, 5) as link:
                answer(one, text)
                assert link.recv(100) == text
        proxy.close()
    with pytest.raises(OSError):  # noqa: PT011 - refused or reset
        socket.create_connection(proxy.address, 1)


def test_a_service_finds_another_by_its_name_and_a_stranger_does_not(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    port = free_port()
    server = ContainerDefinition(
        name="api-server",
        command=script(SERVER.replace("PORT", str(port))),
        ports={"api-server": port},
    )
    caller = ContainerDefinition(
        name="app",
        command=script(
            "import os, time, urllib.request as web\n"
            "print(os.environ['URL'], flush=True)\n"
            "for _ in range(100):\n"
            "    try: print(web.urlopen(os.environ['URL']).read().decode(),"
            " flush=True); break\n"
            "    except OSError: time.sleep(0.1)\n"
            "time.sleep(600)"
        ),
        environment={"URL": f"http://api-server:{port}/execution/"},
    )
    emulator.serve(
        emulator.define(1, server),
        name="api",
        namespace="airflow",
        endpoints=(ServiceConnectEndpoint("api-server", port, "api-server"),),
    )
    calling = emulator.define(2, caller)
    emulator.serve(calling, name="worker", namespace="airflow")
    emulator.serve(calling, name="stranger")

    def said(name: str) -> list[str]:
        found = tasks(agent, name=name)
        path = found[0].containers[0].stream.path if found else None
        return path.read_text().splitlines() if path and path.exists() else []

    lines = until(lambda: len(found := said("worker")) > 1 and found)
    assert json.loads(lines[1])["path"] == "/execution/"
    # Outside the namespace the name means nothing, as on AWS.
    assert until(lambda: said("stranger"))[0] == f"http://api-server:{port}/execution/"
