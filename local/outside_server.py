"""Servers of this machine that stand for ones outside the VPC, from the launch on."""

from __future__ import annotations

from typing import Protocol

from local.datastores import Authority
from local.ecs.connect_filter import Destination


class OutsideServer(Protocol):
    """A server that tasks reach by an address that is not of this machine."""

    known_as: Destination

    def start(self, authority: Authority) -> Destination:
        """Listen with a certificate of the authority; return where."""

    def stop(self) -> None:
        """Listen no more."""
