"""The load balancer: listeners with their compiled rules, targets with their checks.

Each listener of each load balancer gets a port on this machine. Conditions on path,
method, host name and header are evaluated; a rule with any other condition never
matches, because a guess could open what is closed. Responses are those of ELB: fixed
responses, redirects, 502 when a target breaks off and 503 when there is none.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from email.message import Message
from http.client import HTTPConnection, HTTPException, HTTPMessage
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from local.ecs.emulator_client import Listener, ListenerRule, TargetGroup
from local.ecs.web import HttpRequest, HttpResponse, HttpServer, forward

NO_TARGET = HttpResponse(
    503,
    b"<h1>503 Service Temporarily Unavailable</h1>",
    (("Content-Type", "text/html"),),
)
BROKEN = HttpResponse(
    502, b"<h1>502 Bad Gateway</h1>", (("Content-Type", "text/html"),)
)
BAD_REQUEST = HttpResponse(
    400, b"<h1>400 Bad Request</h1>", (("Content-Type", "text/html"),)
)

Address = tuple[str, int]


@dataclass
class RegisteredTarget:
    """A target and the results of its health checks."""

    address: Address
    registered: float
    next_check: float = 0
    good: int = 0
    bad: int = 0
    is_healthy: bool | None = None
    """None until the first answer."""
    is_checking: bool = False
    open_requests: int = 0


@dataclass
class TargetGroupState:
    """A target group and its targets."""

    settings: TargetGroup
    targets: dict[Address, RegisteredTarget] = field(default_factory=dict)

    def pick(self) -> RegisteredTarget | None:
        """Return the healthy target with the fewest open requests.

        With none healthy, all are used, as ELB does.
        """
        healthy = [target for target in self.targets.values() if target.is_healthy]
        return min(
            healthy or list(self.targets.values()),
            key=lambda target: target.open_requests,
            default=None,
        )

    def count(self, target: RegisteredTarget, *, is_good: bool) -> None:
        """Add the result of a health check."""
        if is_good:
            target.good, target.bad = target.good + 1, 0
            # A new target is healthy after one good answer.
            if target.is_healthy is None or target.good >= self.settings.healthy_after:
                target.is_healthy = True
        else:
            target.good, target.bad = 0, target.bad + 1
            # A new target is checked more often, but fails no sooner for that.
            enough = self.settings.unhealthy_after
            age = time.monotonic() - target.registered
            is_due = age >= (enough - 1) * self.settings.interval
            if target.bad >= enough and is_due:
                target.is_healthy = False


class LoadBalancer:
    """All listeners and target groups."""

    def __init__(
        self, certificate: tuple[Path, Path] | None, on_error: Callable[[str], None]
    ) -> None:
        self._certificate = certificate
        self._on_error = on_error
        self._lock = threading.Lock()
        self._groups: dict[str, TargetGroupState] = {}
        self._listeners: dict[str, tuple[Listener, HttpServer]] = {}
        self._checkers = ThreadPoolExecutor(4, thread_name_prefix="target-check")

    def update(
        self, listeners: Iterable[Listener], groups: Iterable[TargetGroup]
    ) -> None:
        """Open and close listeners so that they match the emulator's."""
        by_arn = {listener.arn: listener for listener in listeners}
        with self._lock:
            for group in groups:
                self._groups.setdefault(
                    group.arn, TargetGroupState(group)
                ).settings = group
            for arn in [arn for arn in self._listeners if arn not in by_arn]:
                self._listeners.pop(arn)[1].close()
            for arn, listener in by_arn.items():
                server = self._listeners.get(arn, (None, None))[1]
                self._listeners[arn] = (listener, server or self._open(listener))

    def urls(self) -> dict[int, str]:
        """Return the address of each listener by its port on AWS."""
        with self._lock:
            return {
                listener.port: server.url
                for listener, server in self._listeners.values()
            }

    def register(self, group_arn: str, addresses: Sequence[Address]) -> None:
        """Make these the targets of a group."""
        now = time.monotonic()
        with self._lock:
            group = self._groups.get(group_arn)
            if group is None:
                return
            for gone in set(group.targets) - set(addresses):
                del group.targets[gone]
            for address in addresses:
                group.targets.setdefault(address, RegisteredTarget(address, now))

    def state(self, group_arn: str, address: Address) -> RegisteredTarget | None:
        """Return a target, if it is registered."""
        with self._lock:
            group = self._groups.get(group_arn)
            return group.targets.get(address) if group else None

    def step(self, now: float, probe_seconds: float | None) -> None:
        """Begin the checks that are due; ``now`` is monotonic."""
        with self._lock:
            due = [
                (group, target)
                for group in self._groups.values()
                for target in group.targets.values()
                if now >= target.next_check and not target.is_checking
            ]
            for group, target in due:
                pause = group.settings.interval
                if probe_seconds is not None and target.is_healthy is None:
                    pause = min(pause, probe_seconds)
                target.next_check, target.is_checking = now + pause, True
        for group, target in due:
            self._checkers.submit(self._check, group, target)

    def close(self) -> None:
        """Close everything."""
        with self._lock:
            servers = [server for _, server in self._listeners.values()]
            self._listeners.clear()
        for server in servers:
            server.close()
        self._checkers.shutdown(cancel_futures=True)

    def _open(self, listener: Listener) -> HttpServer:
        is_tls = listener.protocol == "HTTPS" and self._certificate is not None
        return HttpServer(
            lambda request: self._answer(listener.arn, request),
            certificate=self._certificate if is_tls else None,
            on_error=self._on_error,
        )

    def _check(self, group: TargetGroupState, target: RegisteredTarget) -> None:
        settings = group.settings
        link = HTTPConnection(*target.address, timeout=settings.timeout)
        try:
            link.request(
                "GET", settings.path, headers={"User-Agent": "ELB-HealthChecker/2.0"}
            )
            is_good = _is_code(settings.codes, link.getresponse().status)
        except (OSError, HTTPException):
            is_good = False
        finally:
            link.close()
        with self._lock:
            group.count(target, is_good=is_good)
            target.is_checking = False

    def _answer(self, arn: str, request: HttpRequest) -> HttpResponse:
        with self._lock:
            listener, server = self._listeners[arn]
        rule = next((r for r in listener.rules if matches(r, request)), None)
        if rule is None:
            return BAD_REQUEST
        kind = rule.action["Type"]
        if kind == "fixed-response":
            return _fixed(rule.action["FixedResponseConfig"])
        if kind == "redirect":
            return self._redirect(rule.action["RedirectConfig"], request)
        if kind == "forward":
            return self._forward(_group_of(rule.action), listener, server, request)
        return BROKEN

    def _forward(
        self,
        group_arn: str,
        listener: Listener,
        server: HttpServer,
        request: HttpRequest,
    ) -> HttpResponse:
        with self._lock:
            group = self._groups.get(group_arn)
            target = group.pick() if group else None
            if target is None:
                return NO_TARGET
            target.open_requests += 1
        before = request.headers.get("X-Forwarded-For")
        try:
            return forward(
                *target.address,
                request,
                extra=(
                    (
                        "X-Forwarded-For",
                        f"{before}, {request.client}" if before else request.client,
                    ),
                    ("X-Forwarded-Proto", listener.protocol.lower()),
                    ("X-Forwarded-Port", str(server.port)),
                ),
            )
        except (OSError, HTTPException):
            return BROKEN
        finally:
            with self._lock:
                target.open_requests -= 1

    def _redirect(
        self, config: Mapping[str, str], request: HttpRequest
    ) -> HttpResponse:
        port = config.get("Port", "#{port}")
        url = urlsplit(self.urls().get(int(port), "")) if port.isdigit() else None
        host = (request.headers.get("Host") or "").partition(":")[0]
        authority = f"{host}:{url.port}" if url and url.port else host
        scheme = url.scheme if url and url.scheme else "http"
        code = 301 if config.get("StatusCode") == "HTTP_301" else 302
        return HttpResponse(
            code, headers=(("Location", f"{scheme}://{authority}{request.target}"),)
        )


def _group_of(action: Mapping[str, Any]) -> str:
    if "TargetGroupArn" in action:
        return str(action["TargetGroupArn"])
    return str(action["ForwardConfig"]["TargetGroups"][0]["TargetGroupArn"])


def _fixed(config: Mapping[str, str]) -> HttpResponse:
    return HttpResponse(
        int(config["StatusCode"]),
        config.get("MessageBody", "").encode(),
        (("Content-Type", config.get("ContentType", "text/plain")),),
    )


def _is_code(codes: str, status: int) -> bool:
    for part in codes.split(","):
        low, _, high = part.partition("-")
        if int(low) <= status <= int(high or low):
            return True
    return False


def matches(rule: ListenerRule, request: HttpRequest) -> bool:
    """Return whether a request matches every condition of a rule."""
    path = request.target.partition("?")[0]
    return all(
        _fits(condition, path, request.method, request.headers)
        for condition in rule.conditions
    )


def _fits(
    condition: Mapping[str, Any], path: str, method: str, headers: Message | HTTPMessage
) -> bool:
    kind = condition["Field"]
    if kind == "path-pattern":
        config = condition.get("PathPatternConfig") or {}
        return _any(config, condition.get("Values") or (), path)
    if kind == "http-request-method":
        return method in condition["HttpRequestMethodConfig"]["Values"]
    if kind == "host-header":
        config = condition.get("HostHeaderConfig") or {}
        host = str(headers.get("Host") or "").partition(":")[0].lower()
        return _any(config, condition.get("Values") or (), host)
    if kind == "http-header":
        config = condition["HttpHeaderConfig"]
        return _any(config, (), str(headers.get(config["HttpHeaderName"]) or ""))
    return False


def _any(config: Mapping[str, Any], values: Iterable[str], text: str) -> bool:
    patterns = [*(config.get("Values") or values)]
    expressions = [*(config.get("RegexValues") or ())]
    return any(_wild(pattern).fullmatch(text) for pattern in patterns) or any(
        re.search(pattern, text) for pattern in expressions
    )


def _wild(pattern: str) -> re.Pattern[str]:
    words = {"*": ".*", "?": "."}
    return re.compile("".join(words.get(c) or re.escape(c) for c in pattern))
