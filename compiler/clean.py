"""Delete ``dist/`` for ``make clean``, with the standard library alone.

A folder of that name that no build wrote, or that holds files of another origin, stays.
"""

from __future__ import annotations

import sys
from pathlib import Path

from cli.errors import Failure
from compiler import output


def main() -> int:
    """Delete the build; say in one line why it cannot be deleted."""
    try:
        output.remove(output.destination(Path("dist")))
    except (Failure, OSError) as error:
        sys.stderr.write(f"error  {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
