"""Prompts for confirmation; without a terminal, the command refuses."""

from __future__ import annotations

import sys

import click

from cli.errors import Problem, Refused


def is_possible() -> bool:
    """Whether stdin is a terminal."""
    return sys.stdin.isatty()


def confirm(question: str, *, where: str, yes: bool) -> None:
    """Continue only if the operator confirms, or has passed ``--yes``."""
    if yes:
        return
    _needs_terminal(where, "Confirm with --yes.")
    if not click.confirm(question, default=False, err=True):
        raise _declined(where)


def type_name(name: str, *, where: str, question: str, remedy: str) -> None:
    """Continue only if the operator types a name in full."""
    _needs_terminal(where, remedy)
    click.echo(question, err=True)
    if click.prompt(f"Type {name} to continue", default="", err=True) != name:
        raise _declined(where)


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
