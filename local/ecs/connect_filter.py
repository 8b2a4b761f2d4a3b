"""Limits the TCP connections of a control group to lists of destinations and ranges.

A BPF program at the ``connect`` call of the group's processes looks the destination up
in a map and counts it. One that is not there must be in a permitted range, with its
port; else it is counted and refused with EPERM. A destination in a range may stand for
a server of this machine, to which the program redirects the connection. The kernel's
interface is that of bpf(2) and of ``struct bpf_sock_addr`` in ``linux/bpf.h``; a
program this short needs no compiler. It needs CAP_BPF, CAP_NET_ADMIN and a writable
cgroup2 file system, which root has on most machines.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import secrets
import socket
import struct
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

Destination = tuple[str, int]
"""IPv4 address and TCP port."""

PortRange = tuple[IPv4Network, range]
"""A range of addresses, and the ports that are permitted there."""

LOOPBACK = IPv4Network("127.0.0.0/8")
"""This machine itself: no range permits anything here."""

SYSTEM_CALL = {"x86_64": 321, "aarch64": 280}
"""The number of bpf(2)."""

MAP_CREATE, MAP_LOOKUP, MAP_UPDATE, MAP_DELETE, MAP_NEXT_KEY = range(5)
LOAD, ATTACH = 5, 8
HASH_MAP, LONGEST_PREFIX_MAP, SOCKET_ADDRESS_PROGRAM = 1, 11, 18
ON_DEMAND = 1
"""Flag that a map of prefixes must have: entries take memory when they are added."""

CONNECT_IPV4, CONNECT_IPV6 = 10, 11
ALLOW_MULTIPLE = 2
"""Programs that another manager of groups has attached keep their say."""

ENTRIES = 4096
RANGES = 256
PORT_BYTES = 8192
"""A bit for each port, as the value of a range."""
KEY_SIZE, VALUE_SIZE = 8, 8
STREAM = int(socket.SOCK_STREAM)

ADDRESS, PORT, TYPE = 4, 24, 32
"""Offsets of ``user_ip4``, ``user_port`` and ``type`` in ``struct bpf_sock_addr``."""

LOOKUP_HELPER, UPDATE_HELPER = 1, 2
INSTRUCTION = 8
"""Bytes of an instruction."""


class FilterUnavailableError(Exception):
    """Connections cannot be limited on this machine; the message says why."""


class ConnectFilter:
    """The permitted destinations and ranges of one control group."""

    def __init__(self, folder: Path, own_address: str) -> None:
        """Create the group's folder in cgroup2 and attach the programs.

        Every port of ``own_address`` is permitted: a task may call itself. Raises
        FilterUnavailableError.
        """
        self.folder = folder
        self._maps: list[int] = []
        self._entries: list[dict[bytes, bytes]] = [{}, {}, {}]
        try:
            folder.mkdir(parents=True)
            self._maps += [_new_map(), _new_map(), _new_range_map(), _new_map()]
            maps = _Maps(*self._maps)
            _attach(folder, _ipv4_program(maps, own_address), CONNECT_IPV4)
            _attach(folder, _ipv6_program(), CONNECT_IPV6)
        except OSError as error:
            self.close()
            self.remove()
            raise FilterUnavailableError(
                f"connections cannot be limited here: {error.strerror or error}"
            ) from error

    def set_permitted(
        self,
        destinations: Collection[Destination],
        ranges: Collection[PortRange] = (),
        redirected: Mapping[Destination, Destination] | None = None,
    ) -> None:
        """Replace the lists; counts of destinations that stay are kept.

        ``redirected`` leads a destination inside a range to another one. A range
        inside 127.0.0.0/8 permits nothing.
        """
        permitted, _, range_map, redirections = self._maps
        for number, (descriptor, entries) in enumerate(
            (
                (permitted, {_key(each): bytes(VALUE_SIZE) for each in destinations}),
                (range_map, _range_entries(ranges)),
                (
                    redirections,
                    {_key(key): _key(to) for key, to in (redirected or {}).items()},
                ),
            )
        ):
            _replace(descriptor, self._entries[number], entries)
            self._entries[number] = entries

    def used(self) -> dict[Destination, int]:
        """Return how often each permitted destination was connected to."""
        return _counts(self._maps[0]) if self._maps else {}

    def refused(self) -> dict[Destination, int]:
        """Return how often each other destination was tried."""
        return _counts(self._maps[1]) if self._maps else {}

    def close(self) -> None:
        """Give up the counts."""
        for descriptor in self._maps:
            os.close(descriptor)
        self._maps = []

    def remove(self) -> bool:
        """Remove the group and its programs; whether it is gone.

        The kernel refuses while the last process is still being ended.
        """
        if self.folder.is_dir():
            try:
                self.folder.rmdir()
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise
                return False
        return True


def cgroup2() -> Path:
    """Return where cgroup2 is mounted. Raises FilterUnavailableError."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _device, folder, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(folder)
    raise FilterUnavailableError("connections cannot be limited here: no cgroup2")


def obstacle() -> str:
    """Return why connections cannot be limited on this machine, or nothing."""
    try:
        group = ConnectFilter(cgroup2() / f"try-{secrets.token_hex(4)}", "127.0.0.1")
    except FilterUnavailableError as error:
        return str(error)
    group.close()
    group.remove()
    return ""


@dataclass(frozen=True)
class _Maps:
    """The maps of a program, by their descriptors."""

    permitted: int
    refused: int
    ranges: int
    redirected: int


@dataclass(frozen=True)
class _Jump:
    """A conditional jump to a label, which stands further on."""

    code: int
    label: str
    target: int = 0
    value: int = 0


def _assembled(program: Collection[bytes | str | _Jump]) -> bytes:
    """Return the instructions; a text is a label of the one after it."""
    places: dict[str, int] = {}
    length = 0
    for part in program:
        if isinstance(part, str):
            places[part] = length
        else:
            length += 1
    code = b""
    for part in program:
        if isinstance(part, _Jump):
            offset = places[part.label] - len(code) // INSTRUCTION - 1
            part = _instruction(  # noqa: PLW2901 - resolved
                part.code, target=part.target, value=part.value, offset=offset
            )
        if isinstance(part, bytes):
            code += part
    return code


def _ipv4_program(maps: _Maps, own_address: str) -> bytes:
    (own,) = struct.unpack("<i", socket.inet_aton(own_address))
    key, prefix, single = -8, -16, -24
    count = [
        _instruction(0xB7, target=1, value=1),  # r1 = 1
        _instruction(0xDB, target=0, source=1),  # atomic *r0 += r1
    ]
    return _assembled(
        [
            _instruction(0xBF, target=6, source=1),  # r6 = context
            _instruction(0x61, target=1, source=6, offset=TYPE),
            _instruction(0x61, target=7, source=6, offset=ADDRESS),
            _instruction(0x61, target=8, source=6, offset=PORT),
            _Jump(0x55, "accept", target=1, value=STREAM),
            _Jump(0x16, "accept", target=7, value=own),
            _instruction(0x63, target=10, source=7, offset=key),
            _instruction(0x63, target=10, source=8, offset=key + 4),
            *_look_up(maps.permitted, key),
            _Jump(0x15, "not listed"),
            *count,
            _Jump(0x05, "accept"),
            "not listed",
            _instruction(0x62, target=10, offset=prefix, value=32),
            _instruction(0x63, target=10, source=7, offset=prefix + 4),
            *_look_up(maps.ranges, prefix),
            _Jump(0x15, "refuse"),
            _instruction(0xDC, target=8, value=16),  # the port as a number
            _instruction(0x57, target=8, value=0xFFFF),
            _instruction(0xBF, target=1, source=8),
            _instruction(0x77, target=1, value=3),  # r1 = the byte of its bit
            _instruction(0x0F, target=0, source=1),
            _instruction(0x71, target=1, source=0),
            _instruction(0x57, target=8, value=7),
            _instruction(0x7F, target=1, source=8),
            _instruction(0x57, target=1, value=1),  # r1 = the bit
            _Jump(0x15, "refuse", target=1),
            *_look_up(maps.redirected, key),
            _Jump(0x15, "accept"),
            _instruction(0x61, target=1, source=0),
            _instruction(0x63, target=6, source=1, offset=ADDRESS),
            _instruction(0x61, target=1, source=0, offset=4),
            _instruction(0x63, target=6, source=1, offset=PORT),
            "accept",
            _instruction(0xB7, target=0, value=1),
            _instruction(0x95),
            "refuse",
            _instruction(0x7A, target=10, offset=single, value=1),
            *_look_up(maps.refused, key),
            _Jump(0x15, "first time"),
            *count,
            _Jump(0x05, "deny"),
            "first time",
            *_load_map(maps.refused),
            *_point(2, key),
            *_point(3, single),
            _instruction(0xB7, target=4),
            _instruction(0x85, value=UPDATE_HELPER),
            "deny",
            _instruction(0xB7, target=0, value=0),
            _instruction(0x95),
        ]
    )


def _look_up(descriptor: int, key: int) -> list[bytes]:
    """Put the address of the value of a key on the frame into r0; 0 for none."""
    return [
        *_load_map(descriptor),
        *_point(2, key),
        _instruction(0x85, value=LOOKUP_HELPER),
    ]


def _point(register: int, offset: int) -> list[bytes]:
    """Put the address of a place on the frame into a register."""
    return [
        _instruction(0xBF, target=register, source=10),
        _instruction(0x07, target=register, value=offset),
    ]


def _ipv6_program() -> bytes:
    """Refuse: the subnets have no IPv6, and a task has no such address."""
    return _instruction(0xB7, target=0, value=0) + _instruction(0x95)


def _instruction(
    code: int, *, target: int = 0, source: int = 0, offset: int = 0, value: int = 0
) -> bytes:
    return struct.pack("<BBhi", code, source << 4 | target, offset, value)


def _load_map(descriptor: int) -> list[bytes]:
    """Put a map into r1: an instruction of twice the width."""
    load = _instruction(0x18, target=1, source=1, value=descriptor)
    return [load, bytes(INSTRUCTION)]


def _new_map() -> int:
    attributes = (HASH_MAP, KEY_SIZE, VALUE_SIZE, ENTRIES, 0)
    return _bpf(MAP_CREATE, struct.pack("<5I", *attributes))


def _new_range_map() -> int:
    attributes = (LONGEST_PREFIX_MAP, KEY_SIZE, PORT_BYTES, RANGES, ON_DEMAND)
    return _bpf(MAP_CREATE, struct.pack("<5I", *attributes))


def _range_entries(ranges: Collection[PortRange]) -> dict[bytes, bytes]:
    """Return a bit field of ports for each range.

    The kernel finds the longest prefix only, so a range has the ports of those around
    it too.
    """
    fields = {LOOPBACK: 0}
    for network, _ in ranges:
        if not network.subnet_of(LOOPBACK):
            fields[network] = 0
            for other, ports in ranges:
                if network.subnet_of(other):
                    fields[network] |= ((1 << len(ports)) - 1) << ports.start
    return {
        struct.pack("<I", network.prefixlen)
        + network.network_address.packed: field.to_bytes(PORT_BYTES, "little")
        for network, field in fields.items()
    }


def _replace(
    descriptor: int, before: Mapping[bytes, bytes], after: Mapping[bytes, bytes]
) -> None:
    """Give a map the entries of ``after``; those that stay are not touched."""
    for gone in before.keys() - after.keys():
        buffers = _Buffers(gone)
        key = ctypes.addressof(buffers.key)
        _bpf(MAP_DELETE, struct.pack("<I4xQ", descriptor, key))
    for key_bytes, value in after.items():
        if before.get(key_bytes) != value:
            buffers = _Buffers(key_bytes, value)
            _bpf(MAP_UPDATE, _entry(descriptor, buffers))


def _attach(folder: Path, program: bytes, hook: int) -> None:
    code = ctypes.create_string_buffer(program, len(program))
    license_name = ctypes.create_string_buffer(b"MIT")
    attributes = struct.pack(
        "<IIQQIIQII16sII",
        SOCKET_ADDRESS_PROGRAM,
        len(program) // 8,
        ctypes.addressof(code),
        ctypes.addressof(license_name),
        0,
        0,
        0,
        0,
        0,
        b"airflow_connect",
        0,
        hook,
    )
    loaded = _bpf(LOAD, attributes)
    group = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _bpf(ATTACH, struct.pack("<4I", group, loaded, hook, ALLOW_MULTIPLE))
    finally:
        # The group keeps the program as long as it exists.
        os.close(group)
        os.close(loaded)


class _Buffers:
    """A key and a value whose addresses the kernel reads or writes."""

    def __init__(self, key: bytes, value: bytes = b"") -> None:
        self.key = ctypes.create_string_buffer(key, KEY_SIZE)
        self.value = ctypes.create_string_buffer(value, max(len(value), VALUE_SIZE))


def _entry(descriptor: int, buffers: _Buffers) -> bytes:
    key, value = ctypes.addressof(buffers.key), ctypes.addressof(buffers.value)
    return struct.pack("<I4xQQQ", descriptor, key, value, 0)


def _counts(descriptor: int) -> dict[Destination, int]:
    """Return the map's destinations that were counted at least once."""
    counts: dict[Destination, int] = {}
    key: bytes | None = None
    while True:
        # Without a key the kernel returns the first one.
        current, following = _Buffers(key or b""), _Buffers(b"")
        start = ctypes.addressof(current.key) if key is not None else 0
        target = ctypes.addressof(following.key)
        try:
            _bpf(MAP_NEXT_KEY, struct.pack("<I4xQQQ", descriptor, start, target, 0))
        except FileNotFoundError:
            return counts
        key = following.key.raw
        _bpf(MAP_LOOKUP, _entry(descriptor, following))
        (count,) = struct.unpack("<Q", following.value.raw)
        if count:
            (port,) = struct.unpack_from(">H", key, 4)
            counts[socket.inet_ntoa(key[:4]), port] = count


def _key(destination: Destination) -> bytes:
    address, port = destination
    return socket.inet_aton(address) + struct.pack(">H2x", port)


def _bpf(command: int, attributes: bytes) -> int:
    number = SYSTEM_CALL.get(platform.machine())
    if number is None or sys.byteorder != "little":
        raise OSError(f"{platform.machine()} is not supported")
    buffer = ctypes.create_string_buffer(attributes, max(len(attributes), 128))
    libc = ctypes.CDLL(None, use_errno=True)
    result = int(libc.syscall(number, command, buffer, len(buffer)))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
