"""Check an image before a service runs it: its packages, providers and plugins.

The migration job runs it as a process of its own, without the logins of the job,
because it imports code of the team. It prints one problem a line, and a summary last.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import (
    PackageNotFoundError,
    distributions,
    entry_points,
    version,
)
from pathlib import Path

PROVIDERS, PLUGINS = "apache_airflow_provider", "airflow.plugins"
"""Entry points of Airflow."""

ENDS = (ImportError, RuntimeError, SyntaxError, AttributeError)
"""How an import fails; a provider raises RuntimeError for an Airflow too old for it."""


def conflicts() -> Iterator[str]:
    """Yield what ``pip check`` would: what is missing, or of a version not admitted.

    pip itself may be missing in an image.
    """
    requirement_class = import_module("packaging.requirements").Requirement
    for distribution in distributions():
        name = f"{distribution.name} {distribution.version}"
        for text in distribution.requires or ():
            requirement = requirement_class(text)
            marker = requirement.marker
            if marker and not marker.evaluate({"extra": ""}):
                continue
            try:
                installed = version(requirement.name)
            except PackageNotFoundError:
                yield f"{name} needs {requirement.name}, which is not installed"
                continue
            if not requirement.specifier.contains(installed, prereleases=True):
                needed = f"{requirement.name}{requirement.specifier}"
                yield f"{name} needs {needed}, and {installed} is installed"


def broken_providers() -> Iterator[str]:
    """Yield each provider that cannot be imported."""
    for entry in entry_points(group=PROVIDERS):
        package = entry.value.partition(".get_provider_info")[0]
        try:
            import_module(package)
            entry.load()()
        except ENDS as error:
            name = entry.dist.name if entry.dist else package
            yield f"provider {name} cannot be imported: {_reason(error)}"


def broken_plugins(home: Path) -> Iterator[str]:
    """Yield each plugin that cannot be imported; Airflow itself only logs it."""
    folder = Path(os.environ.get("AIRFLOW__CORE__PLUGINS_FOLDER", home / "plugins"))
    # Airflow takes seconds to import: not where there is no plugin.
    if not (any(folder.rglob("*.py")) or entry_points(group=PLUGINS)):
        return
    manager = import_module("airflow.plugins_manager")
    manager.ensure_plugins_loaded()
    for source, error in manager.get_import_errors().items():
        name = Path(source).relative_to(folder) if folder.name in source else source
        yield f"plugin {name} cannot be imported: {_reason(error)}"


def _reason(error: object) -> str:
    """Return the last line of an error, which names the cause."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[-1]


def main() -> int:
    """Print the problems; return 1 if there is one."""
    home = Path(os.environ.get("AIRFLOW_HOME", "/opt/airflow"))
    problems = [*conflicts(), *broken_providers(), *broken_plugins(home)]
    for problem in problems:
        sys.stdout.write(f"{problem}\n")
    if problems:
        more = f" ({len(problems)} problems)" if problems[1:] else ""
        sys.stdout.write(f"{problems[0]}{more}\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
