"""Questions to a person; without a terminal nobody is asked, and nothing is done."""

from __future__ import annotations

import sys

import click

from cli.errors import Problem, Refused


def is_possible() -> bool:
    """Whether there is somebody to ask."""
    return sys.stdin.isatty()


def agree(question: str, *, where: str, yes: bool) -> None:
    """Go on only if a person says so, or ``--yes`` has said it beforehand."""
    if yes:
        return
    _needs_terminal(where, "--yes says so beforehand.")
    if not click.confirm(question, default=False, err=True):
        raise _declined(where)


def type_name(name: str, *, where: str, question: str, remedy: str) -> None:
    """Go on only if a person types a name in full."""
    _needs_terminal(where, remedy)
    click.echo(question, err=True)
    if click.prompt(f"Type {name} to go on", default="", err=True) != name:
        raise _declined(where)


def _needs_terminal(where: str, remedy: str) -> None:
    if not is_possible():
        raise Refused(
            Problem(
                where=where,
                what="Nobody can be asked: this is not a terminal.",
                remedy=remedy,
            )
        )


def _declined(where: str) -> Refused:
    return Refused(Problem(where=where, what="Not agreed, so nothing was done."))
