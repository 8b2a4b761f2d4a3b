"""What checks need of a running environment, on this machine or on AWS."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True)
class RelayedResponse:
    """An HTTP response that a relay has received."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes


class Relay(Protocol):
    """Sends HTTP requests from inside the network of an environment."""

    def send(
        self, method: str, target: str, headers: Iterable[tuple[str, str]], body: bytes
    ) -> RelayedResponse:
        """Send a request to the public listener, its target as it is."""


class Environment(Protocol):
    """An environment that is reached by HTTP and the APIs of AWS alone.

    ``local.environment.LocalEnvironment`` is one. The modules of ``acceptance.checks``
    use nothing else; what needs processes of this machine is in ``local_checks``,
    ``faults`` and ``scaling``.
    """

    name: str
    project: Path
    """The folder of the project, for reports."""

    @property
    def relay(self) -> Relay | None:
        """What sends requests where this machine cannot reach ``url``; else None."""

    @property
    def url(self) -> str:
        """Address of the public listener, without a slash at its end."""

    @property
    def ca_path(self) -> Path:
        """Certificate authorities to trust for ``url``."""

    @property
    def outputs(self) -> Mapping[str, str]:
        """Outputs of the parent stack, by name."""

    @property
    def admin(self) -> tuple[str, str]:
        """User and password of the first administrator."""

    def client(self, service: str) -> Any:
        """Return a client of boto3 with an administrator's permissions."""

    def put_dags(self, folder: Path) -> None:
        """Upload every file of a folder to the DAG bucket."""

    def logs(self, *components: str) -> str:
        """Return a sentence that says where the logs of components are."""
