"""Which paths the load balancer refuses, and to which tasks it leads the others.

Airflow serves the tasks' own API under ``/execution`` on the same port as its web
page. Tasks reach it inside the VPC, nobody needs it through the load balancer, and
it is refused ahead of everything else.

A load balancer compares the path as it was sent; the API server decodes it first,
so ``/%65xecution/`` is ``/execution/`` to Airflow and no match for a plain pattern.
Tried on the server itself, these reach it: letters and slashes percent-encoded,
``//execution`` where a root path is set, and a request line that names a whole URL.
Dot segments, another case and double encoding do not. Hence three nets: a pattern
for the plain path; expressions for what only a disguise needs, which no browser or
client of Airflow sends; and forwarding only what begins with a slash. Expressions
know no look-ahead here and cannot say "anything but", so refusing and forwarding are
separate routes.
"""

from __future__ import annotations

from dataclasses import dataclass

from templates.airflow import ports

FLOWER_PATH = "/flower"
"""Where Flower answers: its ``url_prefix``, and the path of its route."""

API, FLOWER = "Api", "Flower"


@dataclass(frozen=True, kw_only=True)
class Target:
    """Tasks that a route may lead to, and the page that tells whether one is well."""

    name: str
    port: int
    health_path: str
    purpose: str
    why: str = ""


TARGETS = (
    Target(
        name=API,
        port=ports.API_SERVER,
        health_path="/api/v2/version",
        purpose="API servers, which serve the web page too.",
        why="The health page is cheap and needs no login; /api/v2/monitor/health "
        "answers 200 even when the scheduler is dead, and /health is gone. There is "
        "no stickiness: sessions lie in the database.",
    ),
    Target(
        name=FLOWER,
        port=ports.FLOWER,
        health_path=f"{FLOWER_PATH}/healthcheck",
        purpose="Flower's tasks.",
        why="Its other pages ask for a password, which a health check has not.",
    ),
)


@dataclass(frozen=True, kw_only=True)
class Route:
    """One rule of the listener; without ``leads_to`` it refuses.

    ``patterns`` know the wildcards * and ?, ``expressions`` are regular. A
    condition takes three of either, of 128 characters each, case matters.
    """

    name: str
    priority: int
    patterns: tuple[str, ...] = ()
    expressions: tuple[str, ...] = ()
    leads_to: str = ""
    purpose: str
    why: str = ""


ROUTES = (
    Route(
        name="InternalPaths",
        priority=1,
        patterns=("/execution", "/execution/*", f"{FLOWER_PATH}/metrics"),
        purpose="Keeps the tasks' own API and Flower's metrics inside the network.",
        why="Flower's metrics are the one page of it that asks for no password.",
    ),
    Route(
        name="DisguisedPaths",
        priority=2,
        expressions=(
            # A letter or a slash of the first segment percent-encoded.
            "^/[^/?]*%.*$",
            # Two slashes in front, one of which a root path swallows.
            "^//.*$",
            # Dot segments: safe today, and not with a server that resolves them.
            "^[^?]*(/|%2[Ff])([.]|%2[Ee]){1,2}((/|%2[Ff]).*)?$",
        ),
        purpose="Refuses paths written so that they pass the rule before this one.",
        why="The load balancer compares the path as sent, the API server decodes "
        "it: /%65xecution/ is /execution/ there. Each expression spans the whole "
        "path, so that searching and matching mean the same.",
    ),
    Route(
        name="FlowerPages",
        priority=10,
        patterns=(FLOWER_PATH, f"{FLOWER_PATH}/*"),
        leads_to=FLOWER,
        purpose="Leads to Flower.",
    ),
    Route(
        name="Pages",
        priority=100,
        patterns=("/*",),
        leads_to=API,
        purpose="Leads to Airflow's web page and API.",
        why="Only what begins with a slash: a request line may name a whole URL.",
    ),
)
