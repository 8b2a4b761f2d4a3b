"""SIGINT, SIGTERM and SIGHUP: each stops the environment, none interrupts the stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def raise_on_all() -> None:
    """Have each of them raise KeyboardInterrupt, also where it was ignored."""
    for number in ENDS:
        signal.signal(number, signal.default_int_handler)


@contextmanager
def none() -> Iterator[None]:
    """Ignore all of them, so that a stop is complete."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in ENDS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
