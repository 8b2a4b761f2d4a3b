"""What the agent needs to know of the machine and of the rehearsal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from local.ecs.image import Image


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where the emulator is, where files may lie, and what stands in for the image."""

    emulator_url: str
    """The emulator itself. Tasks and everybody else use ``Agent.url`` in its place."""
    gateway_port: int = 0
    """Where tasks and everybody else reach AWS; 0 takes a free one. Choose it to start
    the emulator with ``AWS_ENDPOINT_URL`` naming it before there is an agent."""
    folder: Path
    """Files of the tasks and logs. Keep its path short: sockets may lie in it."""
    image: Image
    region: str = "eu-central-1"
    account: str = "000000000000"
    """The emulator takes the access key for the account."""
    extra_environment: Mapping[str, str] = field(default_factory=dict)
    """What this machine must tell every container beyond its task definition, such as
    where the stand-ins' certificate authority lies. Shown by ``Agent.deviations``."""
    stand_ins: Mapping[str, str] = field(default_factory=dict)
    """Variable -> value, in containers that have the variable and in no other: where
    the stand-ins for the database and the broker listen. It is read when a container
    starts, so it may be filled until ``Agent.start``."""
    files: Mapping[str, Path] = field(default_factory=dict)
    """Path in the container -> file to put there before a task starts."""
    probe_seconds: float | None = None
    """Ask a container that is not healthy yet so often, instead of at its interval.
    ECS does not; it saves half a minute a start."""
    restart_seconds: float | None = None
    """Restart a container with a restart policy when it ran so long, instead of its
    own, longer time. ECS takes no less than a minute. Shown by ``Agent.deviations``."""
    settled_seconds: float = 1
    """A task that nothing checks counts as well after so long: by then a command that
    cannot start has ended."""
    door_certificate: tuple[Path, Path] | None = None
    """Certificate and key for HTTPS listeners; without, they speak plain HTTP."""
    tick_seconds: float = 0.1
    """How often the agent looks at everything."""
    read_seconds: float = 0.5
    """How often the emulator is asked what somebody wants."""
    is_authorising: bool = True
    """Whether a task's calls are checked against its role."""
