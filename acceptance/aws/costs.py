"""Cost of a ``verify``: the relay task and the worker that the scaling check adds."""

from __future__ import annotations

from dataclasses import dataclass

from cloudformation.costs import hourly

REGION = "us-east-1"
VCPU_HOUR = hourly("Fargate vCPU, X86_64", REGION)
GIB_HOUR = hourly("Fargate GB, X86_64", REGION)
"""USD."""

S3_WRITE = 0.005 / 1000
"""USD for a PUT or LIST request in the same region, by AWS's price list."""

RELAY_VCPUS, RELAY_GIB = 0.25, 0.5
LISTS_PER_SECOND = 4.0
"""Of the relay, while it looks for requests."""

MINIMUM_SECONDS = 60.0
"""Fargate bills a task for a minute at least."""


@dataclass(frozen=True)
class Cost:
    """What one ``verify`` has used."""

    relay_seconds: float
    relay_requests: int
    worker_seconds: float
    worker_vcpus: float
    worker_gib: float

    @property
    def cents(self) -> float:
        """US cents, without what the environment costs anyway."""
        dollars = _task(self.relay_seconds, RELAY_VCPUS, RELAY_GIB)
        dollars += _task(self.worker_seconds, self.worker_vcpus, self.worker_gib)
        # A request is written and its response is; the client lists nothing.
        requests = 2 * self.relay_requests + LISTS_PER_SECOND * self.relay_seconds
        return 100 * (dollars + S3_WRITE * requests)

    def __str__(self) -> str:
        return (
            f"about {self.cents:.1f} US cents: relay {self.relay_seconds / 60:.1f} min "
            f"of {RELAY_VCPUS} vCPU with {self.relay_requests} requests, added workers "
            f"{self.worker_seconds / 60:.1f} min of {self.worker_vcpus:g} vCPU and "
            f"{self.worker_gib:g} GB"
        )


def _task(seconds: float, vcpus: float, gib: float) -> float:
    """Return the dollars of a task; nothing for none."""
    hours = max(seconds, MINIMUM_SECONDS) / 3600 if seconds else 0.0
    return hours * (vcpus * VCPU_HOUR + gib * GIB_HOUR)
