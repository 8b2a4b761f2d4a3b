"""A server of roles and databases behind the parts of psycopg2 that we use.

It knows the statements of ``migration.databases`` and nothing else, so a new one fails
here. The acceptance checks show that PostgreSQL accepts them.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Self

import pytest

from fargate_runtime.migration.default_pool import RESIZE

REPLACE_RIGHTS = (
    r'REVOKE ALL ON ALL TABLES IN SCHEMA public FROM "(.+)"; '
    r'GRANT SELECT ON (.+) TO "(.+)"'
)
TOKENS = (
    r'SELECT array_agg\("(.+)"\) FROM \(SELECT "\1" FROM "(.+)" '
    r"""WHERE "(.+)" AND "\1" <> '' LIMIT %s\) AS stored"""
)


def verifier(password: str, *_: object) -> str:
    """Return what the server may keep of a password."""
    return "SCRAM-SHA-256$" + hashlib.sha256(password.encode()).hexdigest()


class Error(Exception):
    """psycopg2.Error."""


class OperationalError(Error):
    """psycopg2.OperationalError."""


@dataclass
class Server:
    """What PostgreSQL would remember."""

    master: str = "master"
    verifiers: dict[str, str] = field(
        default_factory=lambda: {"master": verifier("master pw")}
    )
    owners: dict[str, str] = field(default_factory=lambda: {"postgres": "rdsadmin"})
    open_to_public: set[str] = field(default_factory=set)
    granted: set[tuple[str, str]] = field(default_factory=set)
    members: set[str] = field(default_factory=set)
    limits: dict[tuple[str, str], str] = field(default_factory=dict)
    default_pool: tuple[int, str] = (80, "Default pool")
    """Slots and description."""
    readable: dict[str, list[str]] = field(default_factory=dict)
    tokens: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    """Encrypted values of Airflow's tables, by table and column."""
    refusals: list[str] = field(default_factory=list)
    statements: list[str] = field(default_factory=list)
    connections: int = 0
    answers: dict[str, Any] = field(default_factory=dict)
    """Rows for questions about Airflow's own tables, by a word of the question."""
    errors: dict[str, str] = field(default_factory=dict)
    """What PostgreSQL says instead, by a word of the statement."""

    def connect(self, **options: Any) -> Connection:
        if self.refusals:
            raise OperationalError(self.refusals.pop(0))
        user, name = options["user"], options["dbname"]
        if self.verifiers.get(user) != verifier(options["password"]):
            raise OperationalError(f'password authentication failed for "{user}"')
        if not self.may_connect(user, name):
            raise OperationalError(f'permission denied for database "{name}"')
        self.connections += 1
        return Connection(self, user)

    def may_connect(self, user: str, name: str) -> bool:
        return (
            name == "postgres"
            or self.owners.get(name) == user
            or name in self.open_to_public
            or (user, name) in self.granted
        )

    def run(self, user: str, text: str, values: tuple[Any, ...]) -> Any:
        self.statements.append(f"{text} {values}")
        for word, error in self.errors.items():
            if word in text:
                raise Error(error)
        known: tuple[tuple[str, Callable[..., Any]], ...] = (
            (r"SELECT 1 FROM pg_roles WHERE rolname = %s", self._role_exists),
            (r'CREATE ROLE "(.+)"', self._create_role),
            (r'ALTER ROLE "(.+)" WITH LOGIN PASSWORD %s', self._set_password),
            (r'GRANT "(.+)" TO CURRENT_USER', self._join),
            (r"SELECT pg_get_userbyid\(datdba\) FROM pg_database.*", self._owner),
            (r'CREATE DATABASE "(.+)" OWNER "(.+)"', self._create_database),
            (r'ALTER DATABASE "(.+)" OWNER TO "(.+)"', self._give),
            (r'REVOKE ALL ON DATABASE "(.+)" FROM PUBLIC', self._close),
            (r"SELECT has_database_privilege.*", self._privilege),
            (r"SELECT pg_advisory_lock\(%s\) IS NULL", self._lock),
            (r'ALTER ROLE "(.+)" SET "(.+)" = %s', self._limit),
        )
        of_owner: tuple[tuple[str, Callable[..., Any]], ...] = (
            (r'GRANT CONNECT ON DATABASE "(.+)" TO "(.+)"', self._let_in),
            (r'GRANT USAGE ON SCHEMA public TO "(.+)"', self._let_in_schema),
            (REPLACE_RIGHTS, self._let_read),
            (r"SELECT to_regclass\(%s\) IS NOT NULL", self._table_exists),
            (TOKENS, self._tokens),
            (re.escape(RESIZE.strip()), self._resize),
        )
        for pattern, method in (*known, *of_owner):
            if match := re.fullmatch(pattern, text.strip()):
                is_owner = user in self.owners.values() and user != self.master
                assert (
                    is_owner if (pattern, method) in of_owner else user == self.master
                )
                return method(*match.groups(), *values)
        for word, row in self.answers.items():
            if word in text:
                return row
        raise AssertionError(f"the server does not know: {text}")

    def _role_exists(self, role: str) -> Any:
        return (1,) if role in self.verifiers else None

    def _create_role(self, role: str) -> None:
        assert role not in self.verifiers
        self.verifiers[role] = ""

    def _set_password(self, role: str, verified: str) -> None:
        self.verifiers[role] = verified

    def _join(self, role: str) -> None:
        self.members.add(role)

    def _owner(self, name: str) -> Any:
        return (self.owners[name],) if name in self.owners else None

    def _create_database(self, name: str, owner: str) -> None:
        # PostgreSQL refuses to give to a role that one is no member of.
        assert owner in self.members
        assert name not in self.owners
        self.owners[name] = owner
        self.open_to_public.add(name)

    def _give(self, name: str, owner: str) -> None:
        assert owner in self.members
        self.owners[name] = owner

    def _close(self, name: str) -> None:
        self.open_to_public.discard(name)

    def _limit(self, role: str, name: str, value: str) -> None:
        self.limits[role, name] = value

    def _let_in(self, name: str, role: str) -> None:
        self.granted.add((role, name))

    def _let_in_schema(self, role: str) -> None:
        assert role in self.verifiers

    def _let_read(self, role: str, tables: str, again: str) -> None:
        assert role == again
        self.readable[role] = [
            table.removeprefix('"public".').strip('"') for table in tables.split(", ")
        ]

    def _table_exists(self, table: str) -> Any:
        return (table in {known for known, _ in self.tokens},)

    def _tokens(self, column: str, table: str, is_encrypted: str, most: int) -> Any:
        assert is_encrypted.startswith("is_")
        return (self.tokens.get((table, column), [])[:most] or None,)

    def _resize(
        self, slots: int, description: str, prefix: str, first: str, count: int
    ) -> Any:
        present, described = self.default_pool
        is_ours = described == f"{prefix}{present}"
        if not is_ours and (described, present) != (first, count):
            return None
        self.default_pool = slots, description
        return (slots,)

    def _privilege(self, user: str, name: str) -> Any:
        return (self.may_connect(user, name),)

    def _lock(self, number: int) -> Any:
        assert number
        return (False,)

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        module = ModuleType("psycopg2")
        sql = ModuleType("psycopg2.sql")
        extensions = ModuleType("psycopg2.extensions")
        module.__dict__.update(
            connect=self.connect, Error=Error, OperationalError=OperationalError
        )
        sql.__dict__.update(
            SQL=Sql, Identifier=lambda *names: ".".join(f'"{name}"' for name in names)
        )
        extensions.__dict__.update(encrypt_password=verifier)
        monkeypatch.setitem(sys.modules, "psycopg2", module)
        monkeypatch.setitem(sys.modules, "psycopg2.sql", sql)
        monkeypatch.setitem(sys.modules, "psycopg2.extensions", extensions)


class Sql(str):
    """psycopg2.sql.SQL, whose ``format`` is that of a string."""

    __slots__ = ()


@dataclass
class Connection:
    """One session, and its only cursor."""

    server: Server
    user: str
    autocommit: bool = False
    row: Any = None

    def cursor(self) -> Connection:
        return self

    def execute(self, text: str, values: tuple[Any, ...] = ()) -> None:
        self.row = self.server.run(self.user, text, values)

    def fetchone(self) -> Any:
        return self.row

    def close(self) -> None:
        self.server.connections -= 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """A cursor's end is not the session's."""
