"""Packages of the stock image that DAG files import and this environment lacks.

The stock image holds 440 packages: 1.8 GB, which took two and a half minutes to
download and install. So a local environment holds what Airflow itself needs, and of the
others what the DAG files and plugins import.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

PROVIDERS = ("airflow", "providers")

OTHER_NAMES = {
    "MySQLdb": "mysqlclient",
    "bs4": "beautifulsoup4",
    "dateutil": "python-dateutil",
    "git": "gitpython",
    "googleapiclient": "google-api-python-client",
    "grpc": "grpcio",
    "jwt": "pyjwt",
    "ldap": "python-ldap",
    "openlineage": "openlineage-python",
    "snowflake": "snowflake-connector-python",
    "yaml": "pyyaml",
}
"""Module -> distribution, where the names differ."""


@dataclass(frozen=True)
class StockImport:
    """A file that imports a package of the stock image."""

    distribution: str
    module: str
    place: str
    """File and line."""

    def advice(self) -> str:
        """Return what is lacking, and what to do."""
        return (
            f"{self.place} imports {self.module}. The image has it, this environment "
            f"lacks it: stop and start it again, which adds {self.distribution}."
        )


def imports(files: Iterable[Path], stock: Collection[str]) -> Iterator[StockImport]:
    """Yield what Python files import of the packages of the stock image."""
    for path in files:
        try:
            tree = ast.parse(path.read_bytes())
        except (OSError, SyntaxError, ValueError):
            continue  # Airflow reports it as an import error.
        for node in ast.walk(tree):
            for module in _modules(node):
                if name := distribution(module, stock):
                    place = f"{path}:{getattr(node, 'lineno', 1)}"
                    yield StockImport(name, module, place)


def _modules(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        # `from google.cloud import bigquery` names a module by its last word.
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def distribution(module: str, stock: Collection[str]) -> str:
    """Return the distribution of the stock image that holds a module, or nothing."""
    words = module.split(".")
    start = ["apache-airflow-providers"] if tuple(words[:2]) == PROVIDERS else []
    rest = words[2:] if start else words
    for length in range(len(rest), 0, -1):
        name = re.sub(r"[-_.]+", "-", "-".join([*start, *rest[:length]])).lower()
        if name in stock:
            return name
    other = OTHER_NAMES.get(words[0], "")
    return other if other in stock else ""
