"""Loopback addresses: one for every task and every Service Connect name.

All of 127.0.0.0/8 is this machine's own on Linux, without any privilege. An agent
claims a block of 65,534 by holding a socket open in it, so that agents beside each
other never share an address.
"""

from __future__ import annotations

import itertools
import os
import socket

CLAIM_PORT = 47101
"""Only agents listen on it, at the first address of their block."""


class AddressBlock:
    """Addresses of the form 127.BLOCK.x.y that only one agent uses."""

    def __init__(self) -> None:
        for step in range(1, 255):
            self._block = 1 + (os.getpid() + step) % 254
            claim = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            try:
                claim.bind((f"127.{self._block}.0.1", CLAIM_PORT))
                claim.listen(1)
            except OSError:
                claim.close()
                continue
            self._claim = claim
            self._ports: dict[int, int] = {}
            self._numbers = itertools.count(2)
            return
        raise OSError("254 agents run on this machine; no block of addresses is free")

    def next(self) -> str:
        """Return an unused address."""
        high, low = divmod(next(self._numbers), 254)
        return f"127.{self._block}.{high % 256}.{low + 1}"

    @property
    def prefix(self) -> str:
        """Prefix of every address of the block."""
        return f"127.{self._block}."

    def port(self, number: int) -> int:
        """Return the local port for a container's port, in the whole block.

        It is the same one unless another program of this machine listens there on
        every address, which blocks the port on this block too.
        """
        if number not in self._ports:
            self._ports[number] = self._free(number)
        return self._ports[number]

    def moved_ports(self) -> dict[int, int]:
        """Return the ports that were replaced, with their replacements."""
        return {port: other for port, other in self._ports.items() if port != other}

    def _free(self, number: int) -> int:
        for port in (number, 0):
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
                try:
                    probe.bind((f"{self.prefix}0.1", port))
                except OSError:
                    continue
                return int(probe.getsockname()[1])
        raise OSError(f"no port is free in place of {number}")

    def close(self) -> None:
        """Release the block."""
        self._claim.close()
