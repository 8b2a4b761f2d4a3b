"""Settings of the local ECS agent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from local.ecs.image import ContainerImage


@dataclass(frozen=True, kw_only=True)
class AgentSettings:
    """Where the emulator is, where files go, and the container image."""

    emulator_url: str
    """The emulator itself. All other clients use ``EcsAgent.url``."""
    proxy_port: int = 0
    """Port of ``EcsAgent.url``; 0 takes a free one. Set it to start the emulator with
    ``AWS_ENDPOINT_URL`` before there is an agent."""
    folder: Path
    """Files of the tasks and logs. Keep its path short: sockets may lie in it."""
    image: ContainerImage
    region: str = "eu-central-1"
    account: str = "000000000000"
    """The emulator takes the account from the access key."""
    extra_environment: Mapping[str, str] = field(default_factory=dict)
    """Added to every container, such as the path of the datastores' certificate
    authority. Shown by ``EcsAgent.deviations``."""
    replaced_variables: Mapping[str, str] = field(default_factory=dict)
    """Variable -> value, in containers that have the variable and in no other: the
    addresses of the local database and broker. It is read when a container starts, so
    it may be filled until ``EcsAgent.start``."""
    rewritten_variables: Mapping[str, Callable[[str], str]] = field(
        default_factory=dict
    )
    """Variable -> its value here, from that of the task definition. Shown by
    ``EcsAgent.deviations``."""
    stores: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    """``database`` and ``cache``: address and port here. It may be filled until
    ``EcsAgent.start``."""
    files: Mapping[str, Path] = field(default_factory=dict)
    """Path in the container -> file to put there before a task starts."""
    probe_seconds: float | None = None
    """Interval of the health check of a container that is not healthy yet, if shorter
    than its own. ECS has none; it saves half a minute per start."""
    restart_seconds: float | None = None
    """Replaces a longer ``restartAttemptPeriod`` of a restart policy. ECS takes no less
    than a minute. Shown by ``EcsAgent.deviations``."""
    settled_seconds: float = 1
    """A task without a health check counts as healthy after this: by then a command
    that cannot start has ended."""
    listener_certificate: tuple[Path, Path] | None = None
    """Certificate and key for HTTPS listeners; without, they speak plain HTTP."""
    tick_seconds: float = 0.1
    """How often the agent drives its tasks."""
    read_seconds: float = 0.5
    """How often the agent reads the emulator."""
    is_authorising: bool = True
    """Whether a task's calls are checked against its role."""
