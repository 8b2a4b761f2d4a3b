"""What can go wrong with the emulator itself, each with what to do about it."""

from __future__ import annotations


class EmulatorError(Exception):
    """The emulator cannot do what is asked; ``remedy`` says what to do."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what} {remedy}")
        self.what, self.remedy = what, remedy
