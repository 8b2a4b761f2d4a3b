"""Limits the TCP connections of a control group to a list of addresses and ports.

A BPF program at the ``connect`` call of the group's processes looks the destination up
in a map and counts it; a destination that is not there is counted and refused with
EPERM. The kernel's interface is that of bpf(2) and of ``struct bpf_sock_addr`` in
``linux/bpf.h``; a program this short needs no compiler. It needs CAP_BPF,
CAP_NET_ADMIN and a writable cgroup2 file system, which root has on most machines.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import socket
import struct
import sys
from pathlib import Path

Destination = tuple[str, int]
"""IPv4 address and TCP port."""

SYSTEM_CALL = {"x86_64": 321, "aarch64": 280}
"""The number of bpf(2)."""

MAP_CREATE, MAP_LOOKUP, MAP_UPDATE, MAP_DELETE, MAP_NEXT_KEY = range(5)
LOAD, ATTACH = 5, 8
HASH_MAP, SOCKET_ADDRESS_PROGRAM = 1, 18
CONNECT_IPV4, CONNECT_IPV6 = 10, 11
ALLOW_MULTIPLE = 2
"""Programs that another manager of groups has attached keep their say."""

ENTRIES = 4096
KEY_SIZE, VALUE_SIZE = 8, 8
STREAM = int(socket.SOCK_STREAM)

ADDRESS, PORT, TYPE = 4, 24, 32
"""Offsets of ``user_ip4``, ``user_port`` and ``type`` in ``struct bpf_sock_addr``."""

LOOKUP_HELPER, UPDATE_HELPER = 1, 2


class FilterUnavailableError(Exception):
    """Connections cannot be limited on this machine; the message says why."""


class ConnectFilter:
    """The permitted destinations of one control group."""

    def __init__(self, folder: Path, own_address: str) -> None:
        """Create the group's folder in cgroup2 and attach the programs.

        Every port of ``own_address`` is permitted: a task may call itself. Raises
        FilterUnavailableError.
        """
        self.folder = folder
        self._maps: list[int] = []
        self._counted: set[Destination] = set()
        try:
            folder.mkdir(parents=True)
            self._maps += [permitted := _new_map(), refused := _new_map()]
            program = _ipv4_program(permitted, refused, own_address)
            _attach(folder, program, CONNECT_IPV4)
            _attach(folder, _ipv6_program(), CONNECT_IPV6)
        except OSError as error:
            self.close()
            self.remove()
            raise FilterUnavailableError(
                f"connections cannot be limited here: {error.strerror or error}"
            ) from error

    def set_permitted(self, destinations: set[Destination]) -> None:
        """Replace the list; counts of destinations that stay are kept."""
        permitted = self._maps[0]
        for gone in self._counted - destinations:
            buffers = _Buffers(_key(gone))
            key = ctypes.addressof(buffers.key)
            _bpf(MAP_DELETE, struct.pack("<I4xQ", permitted, key))
        for new in destinations - self._counted:
            buffers = _Buffers(_key(new), bytes(VALUE_SIZE))
            _bpf(MAP_UPDATE, _entry(permitted, buffers))
        self._counted = set(destinations)

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


def _ipv4_program(permitted: int, refused: int, own_address: str) -> bytes:
    (own,) = struct.unpack("<i", socket.inet_aton(own_address))
    key, single = -8, -16
    find = [
        _instruction(0xBF, target=2, source=10),  # r2 = frame
        _instruction(0x07, target=2, value=key),  # r2 += key
        _instruction(0x85, value=LOOKUP_HELPER),
    ]
    count = [
        _instruction(0xB7, target=1, value=1),  # r1 = 1
        _instruction(0xDB, target=0, source=1),  # atomic *r0 += r1
    ]
    accept = [_instruction(0xB7, target=0, value=1), _instruction(0x95)]
    deny = [_instruction(0xB7, target=0, value=0), _instruction(0x95)]
    known = [*_load_map(permitted), *find]
    repeated = [*_load_map(refused), *find]
    # From a test on: how many instructions lie between it and its target.
    to_accept = len(known) + 1 + len(count)
    return b"".join(
        [
            _instruction(0xBF, target=6, source=1),  # r6 = context
            _instruction(0x61, target=1, source=6, offset=TYPE),
            _instruction(0x61, target=7, source=6, offset=ADDRESS),
            _instruction(0x61, target=8, source=6, offset=PORT),
            _instruction(0x55, target=1, value=STREAM, offset=3 + to_accept),
            _instruction(0x16, target=7, value=own, offset=2 + to_accept),
            _instruction(0x63, target=10, source=7, offset=key),
            _instruction(0x63, target=10, source=8, offset=key + 4),
            *known,
            _instruction(0x15, target=0, offset=len(count) + len(accept)),
            *count,
            *accept,
            _instruction(0x7A, target=10, offset=single, value=1),
            *repeated,
            _instruction(0x15, target=0, offset=len(count) + len(deny)),
            *count,
            *deny,
            *_load_map(refused),
            _instruction(0xBF, target=2, source=10),
            _instruction(0x07, target=2, value=key),
            _instruction(0xBF, target=3, source=10),
            _instruction(0x07, target=3, value=single),
            _instruction(0xB7, target=4),
            _instruction(0x85, value=UPDATE_HELPER),
            *deny,
        ]
    )


def _ipv6_program() -> bytes:
    """Refuse: the subnets have no IPv6, and a task has no such address."""
    return _instruction(0xB7, target=0, value=0) + _instruction(0x95)


def _instruction(
    code: int, *, target: int = 0, source: int = 0, offset: int = 0, value: int = 0
) -> bytes:
    return struct.pack("<BBhi", code, source << 4 | target, offset, value)


def _load_map(descriptor: int) -> list[bytes]:
    """Put a map into r1: an instruction of twice the width."""
    return [_instruction(0x18, target=1, source=1, value=descriptor), bytes(8)]


def _new_map() -> int:
    attributes = (HASH_MAP, KEY_SIZE, VALUE_SIZE, ENTRIES, 0)
    return _bpf(MAP_CREATE, struct.pack("<5I", *attributes))


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
        self.value = ctypes.create_string_buffer(value, VALUE_SIZE)


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
