"""The operator's secret variables: a JSON parameter that CloudFormation itself reads.

``SecretEnvironment`` is one text: members for every component that may have any,
then an object for each target::

    {"DWH":"<ARN>:password","worker":{"X":"<ARN>"},"pool spot":{"Y":"<ARN>"}}

A task definition needs a list of names and ARNs, and an execution role the ARNs. Both
are cut out of the text. Its parameter's pattern admits neither blanks nor escapes, so
a quotation mark is always the border of a name or of a value; ``:secret:`` becomes
another one. The members of any objects after each other are then the same number of
pieces each. Marks at the end of the text make the pieces of unused slots, all empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from troposphere import (
    Equals,
    If,
    Join,
    Not,
    NoValue,
    Select,
    Split,
    ecs,
)

from compiler.wiring import Record, Template, about
from templates.types import SecretKey, SecretVariables, Text

SLOTS = 5
"""Secret variables that one container may have. A slot is a condition, and a linter
examines all combinations of a task definition's conditions, up to 256."""

MARK = '"'
TYPE = ":secret:"
"""Between the account and the name in the ARN of a secret."""


class Piece(IntEnum):
    """What is between the marks, for one member."""

    BEFORE = 0
    NAME = 1
    COLON = 2
    ACCOUNT = 3
    """The ARN up to the account."""
    RESOURCE = 4
    """The rest of the ARN after ``secret``, and the key."""


UNUSED_SLOTS = MARK * len(Piece) * SLOTS


class SecretEnvironment(Record):
    """The secret variables of the components that the services' template holds."""

    api_server: Text = about("Secret variables of the API server.")
    scheduler: Text = about("Secret variables of the scheduler.")
    dag_processor: Text = about("Secret variables of the DAG processor.")
    triggerer: Text = about("Secret variables of the triggerer.")


def secret_text(
    variables: SecretVariables, *targets: str, own: Sequence[Join] = ()
) -> Text:
    """Return the members for all and for some targets, as the slots read them.

    ``own`` are members that the templates add.
    """
    members = [*own, *(_members_of(variables, target) for target in targets)]
    # Of a first object, the name is left over here, without a value.
    members.append(Select(0, Split(":{", variables)))
    pieces = Join(MARK, Split(TYPE, Join("", members)))
    return Text(Join("", [pieces, UNUSED_SLOTS]))


def member(name: str, secret: SecretKey) -> Join:
    """Return one member: a variable with a secret, or a key of one.

    Without a secret it has as many pieces, and its slot is unused.
    """
    parts = Split(TYPE, Join("", [secret, TYPE]))
    arn = Join(TYPE, [Select(0, parts), Select(1, parts)])
    return Join("", [f'"{name}":"', arn, MARK])


def _members_of(variables: SecretVariables, target: str) -> Select:
    """Return what is in the object of a target; nothing if there is none."""
    opening = f'"{target}":{{'
    after = Select(1, Split(opening, Join("", [variables, opening, "}"])))
    return Select(0, Split("}", after))


class SecretSlots:
    """The slots of one container, whose conditions are in its template."""

    def __init__(self, t: Template, text: Text, title: str) -> None:
        self._text = text
        self._is_used = [
            t.condition(
                f"Has{title}Secret{slot + 1}",
                Not(Equals(self._piece(slot, Piece.ACCOUNT), "")),
            )
            for slot in range(SLOTS)
        ]

    def secrets(self) -> list[If]:
        """Return the secrets of the container definition."""
        return [
            If(
                is_used,
                ecs.Secret(
                    Name=self._piece(slot, Piece.NAME),
                    # Of ARN, key, version stage and version, the last two are empty.
                    ValueFrom=Join(
                        ":", [*self._arn(slot), self._resource(slot, 1), "", ""]
                    ),
                ),
                NoValue,
            )
            for slot, is_used in enumerate(self._is_used)
        ]

    def arns(self) -> list[If]:
        """Return the ARNs of the secrets, without keys."""
        return [
            If(is_used, Join(":", self._arn(slot)), NoValue)
            for slot, is_used in enumerate(self._is_used)
        ]

    def _arn(self, slot: int) -> list[Select | str]:
        """Return an ARN in three parts."""
        return [self._piece(slot, Piece.ACCOUNT), "secret", self._resource(slot, 0)]

    def _resource(self, slot: int, position: int) -> Select:
        """Return the name of the secret (0), or its key or nothing (1)."""
        resource = self._piece(slot, Piece.RESOURCE)
        return Select(position, Split(":", Join("", [resource, ":"])))

    def _piece(self, slot: int, piece: Piece) -> Select:
        return Select(len(Piece) * slot + piece, Split(MARK, self._text))
