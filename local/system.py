"""Whether this system can run an environment."""

from __future__ import annotations

import platform
import re

OLDEST_KERNEL = (5, 3)
"""The first with ``pidfd_open``, by which a process is watched."""


def unsupported_system() -> str:
    """Return in one sentence why no environment can run here, or nothing.

    What the packages need, the C library and the processor, their installation checks.
    """
    needed = f"Linux {'.'.join(map(str, OLDEST_KERNEL))} or newer is needed"
    if platform.system() != "Linux":
        return f"{needed}; this is {platform.system()}."
    release = platform.release()
    version = tuple(int(part) for part in re.findall(r"\d+", release)[:2])
    return "" if version >= OLDEST_KERNEL else f"{needed}; this is {release}."
