"""Routes of the load balancer: refused paths, and the targets of all others.

Airflow serves the Execution API under ``/execution`` on the same port as its UI. Tasks
reach it inside the VPC, no client needs it through the load balancer, and it is refused
ahead of everything else.

A load balancer compares the path as it was sent; the API server decodes it first,
so ``/%65xecution/`` is ``/execution/`` to Airflow and no match for a plain pattern.
By test on the server itself, these reach it: letters and slashes percent-encoded,
``//execution`` where a root path is set, and a request line that names a whole URL.
Dot segments, another case and double encoding do not. Hence three measures: a pattern
for the plain path; expressions for encodings that no browser or client of Airflow
sends; and forwarding only paths that begin with a slash. Expressions have no look-ahead
here and cannot exclude a path, so refusing and forwarding are separate routes.
"""

from __future__ import annotations

from dataclasses import dataclass

from templates.resources import ports

FLOWER_PATH = "/flower"
"""Path of Flower: its ``url_prefix``, and the path of its route."""

API, FLOWER = "Api", "Flower"


@dataclass(frozen=True, kw_only=True)
class Target:
    """Tasks that a route may forward to, and the path of their health check."""

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
        purpose="API servers, which serve the Airflow UI too.",
        why="This path is cheap and needs no login; /api/v2/monitor/health answers 200 "
        "even when the scheduler is dead, and /health no longer exists. There is no "
        "stickiness: sessions are in the database.",
    ),
    Target(
        name=FLOWER,
        port=ports.FLOWER,
        health_path=f"{FLOWER_PATH}/healthcheck",
        purpose="Flower's tasks.",
        why="Its other pages require a password, which a health check does not have.",
    ),
)


@dataclass(frozen=True, kw_only=True)
class Route:
    """One rule of the listener; without ``target`` it refuses.

    ``patterns`` have the wildcards * and ?, ``expressions`` are regular. A
    condition takes three of either, of 128 characters each, case matters.
    """

    name: str
    priority: int
    patterns: tuple[str, ...] = ()
    expressions: tuple[str, ...] = ()
    target: str = ""
    purpose: str
    why: str = ""


ROUTES = (
    Route(
        name="InternalPaths",
        priority=1,
        patterns=("/execution", "/execution/*", f"{FLOWER_PATH}/metrics"),
        purpose="Keeps the Execution API and Flower's metrics inside the network.",
        why="Flower's metrics are its only page that requires no password.",
    ),
    Route(
        name="EncodedPaths",
        priority=2,
        expressions=(
            # A letter or a slash of the first segment percent-encoded.
            "^/[^/?]*%.*$",
            # Two slashes at the start, one of which a root path removes.
            "^//.*$",
            # Dot segments: harmless today, but not with a server that resolves them.
            "^[^?]*(/|%2[Ff])([.]|%2[Ee]){1,2}((/|%2[Ff]).*)?$",
        ),
        purpose="Refuses paths that are encoded to bypass the rule before this one.",
        why="The load balancer compares the path as sent, the API server decodes "
        "it: /%65xecution/ is /execution/ there. Each expression spans the whole "
        "path, so that searching and matching mean the same.",
    ),
    Route(
        name="FlowerPages",
        priority=10,
        patterns=(FLOWER_PATH, f"{FLOWER_PATH}/*"),
        target=FLOWER,
        purpose="Forwards to Flower.",
    ),
    Route(
        name="Pages",
        priority=100,
        patterns=("/*",),
        target=API,
        purpose="Forwards to the Airflow UI and API.",
        why="Only paths that begin with a slash: a request line may name a whole URL.",
    ),
)
