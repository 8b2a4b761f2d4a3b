"""Start of the command line, with the standard library alone.

Whichever Python starts ``build.py``, the project's own environment continues. Standard
streams that are closed or full end no command, and have their exit code.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from pathlib import Path
from typing import NoReturn

from cli import own_environment
from cli.errors import ExitCode, Failure, Problem
from cli.own_environment import say, unexpected


class StandardStream(io.FileIO):
    """Standard output or error that may be closed, full, or a pipe without a reader.

    A command goes on without it: a launch is not left half-way because the reader of
    its messages has ended. ``error`` says what was lost.
    """

    error: OSError | None = None

    def write(self, data: object) -> int:
        """Write, or record why that is not possible."""
        try:
            return super().write(data) or 0  # type: ignore[arg-type]
        except OSError as error:
            self.error = self.error or error
            return memoryview(data).nbytes  # type: ignore[arg-type]


def main() -> NoReturn:
    """Run the command line in the project's own environment."""
    _open_closed_streams()
    try:
        Path.cwd()
    except OSError as error:
        say(
            Problem(
                where="The folder of this shell",
                what=f"It is gone: {error.strerror}.",
                remedy="Change to another folder, then run this again.",
            )
        )
        sys.exit(ExitCode.UNABLE)
    own_environment.enter()
    output = _replace_streams()
    code = _run()
    sys.exit(_after_output(output, code))


def _run() -> int:
    try:
        from cli.main import main as command_line  # noqa: PLC0415 - may be damaged
    except Failure as failure:
        for problem in failure.problems:
            say(problem)
        return failure.exit_code
    except Exception as error:  # noqa: BLE001 - reported, whatever it is
        own_environment.repair(error)
        say(unexpected(error))
        return ExitCode.UNABLE
    try:
        command_line(prog_name="build.py", complete_var="_BUILD_PY_COMPLETE")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(bool(end.code))
    return ExitCode.OK


def _open_closed_streams() -> None:
    """Open the standard streams that the caller has closed, on nothing."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 - a descriptor
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 - as above
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115 - as above


def _replace_streams() -> StandardStream:
    """Have output that cannot be written recorded; return standard output."""
    output, messages = (StandardStream(n, "w", closefd=False) for n in (1, 2))
    sys.stdout = _text(output, sys.stdout.encoding)
    sys.stderr = _text(messages, sys.stderr.encoding)
    return output


def _text(stream: StandardStream, encoding: str) -> io.TextIOWrapper:
    buffered = io.BufferedWriter(stream)
    return io.TextIOWrapper(
        buffered, encoding=encoding, errors="replace", line_buffering=True
    )


def _after_output(output: StandardStream, code: int) -> int:
    """Return the exit code, after everything is written; report what was lost."""
    sys.stdout.flush()
    error = output.error
    # A reader that has seen enough, as head, is no error.
    if error and error.errno != errno.EPIPE:
        say(
            Problem(
                where="Standard output",
                what=f"It cannot be written: {error.strerror}.",
                why="The command itself has run to its end.",
                remedy="Free some space, or write it elsewhere.",
            )
        )
        return code or ExitCode.UNABLE
    return code
