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
from local.ecs.model import LoadBalancerTarget, ServiceConnectEndpoint
from local.ecs.service_connect import ServiceConnectProxy
from tests.local.ecs.fakes import FakeEmulator, app, ended, free_port, tasks, until

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
    """Return the rules of a listener as the templates define them."""
    return (
        ListenerRule(1, (paths("/execution", "/execution/*"),), REFUSED),
        ListenerRule(2, (paths(expressions=("^/[^/?]*%.*$", "^//.*$")),), REFUSED),
        ListenerRule(100, (paths("/*"),), FORWARDED),
        ListenerRule(float("inf"), (), REFUSED),
    )


def get(url: str, path: str, host: str = "") -> tuple[int, str]:
    parts = urlsplit(url)
    link = HTTPConnection(str(parts.hostname), parts.port, timeout=10)
    # putrequest sends the path unchanged.
    link.putrequest("GET", path, skip_host=bool(host))
    if host:
        link.putheader("Host", host)
    link.endheaders()
    answer = link.getresponse()
    try:
        return answer.status, answer.read().decode()
    finally:
        link.close()


def serve_api(agent: EcsAgent, emulator: FakeEmulator, count: int = 1) -> str:
    port = free_port()
    emulator.active_listeners = [Listener("listener", 80, "HTTP", rules())]
    emulator.groups = [TargetGroup(GROUP, "/health", "200-299", 0.1, 2, 2, 2)]
    container = app(SERVER.replace("PORT", str(port)), name="api", ports={"api": port})
    emulator.serve(
        emulator.define(1, container), count, targets=(LoadBalancerTarget(GROUP, port),)
    )
    until(agent.is_steady)
    return agent.listener_urls()[80]


def test_rules_forward_pages_and_refuse_the_execution_api(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    url = serve_api(agent, emulator)
    status, body = get(url, "/home?x=1", host="airflow.example.com")
    assert status == 200
    page = json.loads(body)
    assert page["path"] == "/home?x=1"
    assert page["host"] == "airflow.example.com"
    assert page["x-forwarded-proto"] == "http"
    assert page["x-forwarded-for"] == "127.0.0.1"
    for path in (
        *("/execution", "/execution/health", "/%65xecution/health"),
        *("//execution/health", "http://x/execution/health"),
    ):
        assert get(url, path) == (404, "Not found."), path


def test_requests_are_shared_by_the_targets(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    url = serve_api(agent, emulator, 2)
    # The target with fewer open requests gets the next, so keep one busy at a time.
    addresses = {task.sandbox.address for task in tasks(agent)}
    group = agent._load_balancer._groups[GROUP]
    senders = set()
    for address in addresses:
        for place, target in group.targets.items():
            target.open_requests = int(place[0] != address)
        senders.add(json.loads(get(url, "/")[1])["from"])
    assert senders == addresses


def test_service_replaces_a_task_with_an_unhealthy_target(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    emulator.active_listeners = [Listener("listener", 80, "HTTP", rules())]
    emulator.groups = [TargetGroup(GROUP, "/health", "200", 0.1, 2, 2, 2)]
    silent = app("import time; time.sleep(600)", name="api")
    emulator.serve(
        emulator.define(1, silent), targets=(LoadBalancerTarget(GROUP, free_port()),)
    )
    task = until(lambda: tasks(agent))[0]
    # It runs, but its target does not answer.
    ended(task)
    assert task.stopped_reason == "Task failed ELB health checks"
    assert get(agent.listener_urls()[80], "/")[0] in {502, 503}


def test_redirect_leads_to_the_other_listener(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    port = {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}
    away = {"Type": "redirect", "RedirectConfig": port}
    emulator.active_listeners = [
        Listener("http", 80, "HTTP", (ListenerRule(float("inf"), (), away),)),
        Listener("https", 443, "HTTPS", rules()),
    ]
    emulator.serve(
        emulator.define(1, app("", name="a")),
        0,
        targets=(LoadBalancerTarget(GROUP, 1),),
    )
    urls = until(agent.listener_urls)
    url = urlsplit(urls[80])
    link = HTTPConnection(str(url.hostname), url.port, timeout=10)
    link.request("GET", "/home?x=1")
    answer = link.getresponse()
    assert answer.status == 301
    assert answer.getheader("Location") == f"{urls[443]}/home?x=1"


def test_new_target_does_not_fail_sooner_for_more_frequent_checks() -> None:
    # Otherwise a check every three seconds would fail a server that starts.
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


def test_service_connect_skips_a_target_that_refuses() -> None:
    def answer(listener: socket.socket, text: bytes) -> None:
        link, _ = listener.accept()
        link.sendall(text)
        link.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        dead = free_port()
        proxy = ServiceConnectProxy("127.0.0.1", free_port())
        proxy.route_to([("127.0.0.1", dead), listener.getsockname()])
        for text in (b"first", b"second"):
            with socket.create_connection(proxy.address, 5) as link:
                answer(listener, text)
                assert link.recv(100) == text
        proxy.close()
    with pytest.raises(OSError):  # noqa: PT011 - refused or reset
        socket.create_connection(proxy.address, 1)


def test_service_connect_names_resolve_within_their_namespace_only(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    port = free_port()
    server = app(
        SERVER.replace("PORT", str(port)), name="api-server", ports={"api-server": port}
    )
    caller = app(
        "import os, time, urllib.request as web\n"
        "print(os.environ['URL'], flush=True)\n"
        "for _ in range(100):\n"
        "    try: print(web.urlopen(os.environ['URL']).read().decode(),"
        " flush=True); break\n"
        "    except OSError: time.sleep(0.1)\n"
        "time.sleep(600)",
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
    emulator.serve(calling, name="outsider")

    def log_lines(name: str) -> list[str]:
        running = tasks(agent, name=name)
        path = running[0].containers[0].stream.path if running else None
        return path.read_text().splitlines() if path and path.exists() else []

    lines = until(lambda: len(running := log_lines("worker")) > 1 and running)
    assert json.loads(lines[1])["path"] == "/execution/"
    # Outside the namespace the name means nothing, as on AWS.
    assert (
        until(lambda: log_lines("outsider"))[0]
        == f"http://api-server:{port}/execution/"
    )
