"""Ctrl-C and its kin: every one ends a rehearsal, and none interrupts the ending."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, whoever asks politely, and a terminal that is closed."""


def raise_on_all() -> None:
    """Let each of them raise KeyboardInterrupt, also where it was ignored."""
    for number in ENDS:
        signal.signal(number, signal.default_int_handler)


@contextmanager
def none() -> Iterator[None]:
    """Let none of them through: what ends must end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in ENDS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
