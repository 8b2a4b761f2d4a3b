#!/usr/bin/env python3
"""Entry point of the command line. Every Python from 2.7 on can read this file."""

import os
import signal
import sys

if sys.version_info < (3, 11):  # noqa: UP036 - that is what it is for
    sys.stderr.write(
        "error  Python 3.11 or newer is needed; this is %s.\n"  # noqa: UP031 - Python 2
        "do     Install one, and name it: python3.11 build.py ...\n"
        % sys.version.split()[0]
    )
    sys.exit(3)

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Until a command runs, Ctrl-C ends the process without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

# Also where PYTHONSAFEPATH leaves the folder of the program out.
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))  # noqa: PTH120 - Python 2

try:
    from cli import start
except ImportError as error:
    sys.stderr.write(
        "error  The folder cli/ beside build.py is missing or damaged: %s.\n"  # noqa: UP031 - Python 2
        "do     Bring it back: git status, then git restore .\n" % error
    )
    sys.exit(3)

if __name__ == "__main__":
    start.main()
