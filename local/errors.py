"""Errors of the local environment, its emulator and its datastores."""

from __future__ import annotations

from cli.errors import Failure, Problem, Unable


class EmulatorError(Unable):
    """The emulator cannot do what is asked."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(Problem(where="the emulator", what=what, remedy=remedy))


class DatastoreError(Unable):
    """A datastore or an environment cannot be installed or does not start."""

    def __init__(
        self, what: str, remedy: str = "Correct what it names, and run this again."
    ) -> None:
        super().__init__(Problem(where="a datastore", what=what, remedy=remedy))


class LocalEnvironmentError(Failure):
    """The local environment is not as it should be."""

    def __init__(
        self,
        what: str,
        why: str = "",
        remedy: str = "",
        *,
        where: str = "the local environment",
    ) -> None:
        super().__init__(Problem(where=where, what=what, why=why, remedy=remedy))


class EnvironmentStopped(Exception):  # noqa: N818 - a signal to waiting threads
    """The local environment stops, so waiting for something in it ends."""
