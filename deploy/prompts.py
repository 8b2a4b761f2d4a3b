"""Prompts for confirmation; without a terminal, the command refuses."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from cli.errors import NotStarted, Problem, Refused


def is_possible() -> bool:
    """Whether stdin is a terminal."""
    return sys.stdin.isatty()


def confirm(question: str, *, where: str, yes: bool) -> None:
    """Continue only if the operator confirms, or has passed ``--yes``."""
    if yes:
        return
    _needs_terminal(where, "Confirm with --yes.")
    with _interruptible(where):
        is_confirmed = click.confirm(question, default=False, err=True)
    if not is_confirmed:
        raise _declined(where)


def agrees(question: str) -> bool:
    """Whether the operator agrees; False without a terminal."""
    return is_possible() and bool(click.confirm(question, default=False, err=True))


def type_name(name: str, *, where: str, question: str, remedy: str) -> None:
    """Continue only if the operator types a name in full."""
    _needs_terminal(where, remedy)
    click.echo(question, err=True)
    with _interruptible(where):
        typed = click.prompt(f"Type {name} to continue", default="", err=True)
    if typed != name:
        raise _declined(where)


@contextmanager
def _interruptible(where: str) -> Iterator[None]:
    """Report Ctrl-C at a question as what it is: nothing has been started."""
    try:
        yield
    except (KeyboardInterrupt, click.Abort) as error:
        click.echo(err=True)
        raise NotStarted(
            Problem(where=where, what="Interrupted at the question. Nothing was done.")
        ) from error


def _needs_terminal(where: str, remedy: str) -> None:
    if not is_possible():
        raise Refused(
            Problem(
                where=where,
                what="Cannot prompt for confirmation: stdin is not a terminal.",
                remedy=remedy,
            )
        )


def _declined(where: str) -> Refused:
    return Refused(Problem(where=where, what="Not confirmed. Nothing was done."))
