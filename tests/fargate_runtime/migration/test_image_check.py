"""Packages that conflict, and providers and plugins that cannot be imported."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint, PackageNotFoundError
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from fargate_runtime.migration import image_check


class FakeRequirement:
    """packaging's class, for requirements such as ``name>=2`` and ``name; never``."""

    def __init__(self, text: str) -> None:
        self.name, _, rest = text.partition(" ")
        self.specifier = FakeSpecifier(rest.partition(";")[0])
        self.marker = FakeMarker() if ";" in text else None


class FakeSpecifier(str):
    """``>=N`` of a whole number."""

    __slots__ = ()

    def contains(self, installed: str, *, prereleases: bool) -> bool:
        assert prereleases
        return not self or int(installed) >= int(self.removeprefix(">="))


class FakeMarker:
    def evaluate(self, environment: dict[str, str]) -> bool:
        assert environment == {"extra": ""}
        return False


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[str, list[str]]]:
    """Give the packages of the image: name -> version and requirements."""
    packages: dict[str, tuple[str, list[str]]] = {}

    def version(name: str) -> str:
        if name not in packages:
            raise PackageNotFoundError(name)
        return packages[name][0]

    packaging = ModuleType("packaging.requirements")
    vars(packaging)["Requirement"] = FakeRequirement
    monkeypatch.setitem(sys.modules, "packaging.requirements", packaging)
    monkeypatch.setattr(image_check, "version", version)
    monkeypatch.setattr(
        image_check,
        "distributions",
        lambda: [
            SimpleNamespace(name=name, version=number, requires=requires or None)
            for name, (number, requires) in packages.items()
        ],
    )
    return packages


def test_conflicts_name_both_packages(
    installed: dict[str, tuple[str, list[str]]],
) -> None:
    installed["airflow"] = ("3", ["requests >=2"])
    installed["requests"] = ("2", [])
    installed["cowsay"] = ("6", ["other ;extra"])
    assert not [*image_check.conflicts()]
    installed["requests"] = ("1", [])
    installed["report"] = ("7", ["pandas"])
    assert [*image_check.conflicts()] == [
        "airflow 3 needs requests>=2, and 1 is installed",
        "report 7 needs pandas, which is not installed",
    ]


def test_provider_that_does_not_import_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entry = EntryPoint(
        "provider_info",
        "missing_one.get_provider_info:get_provider_info",
        image_check.PROVIDERS,
    )
    monkeypatch.setattr(image_check, "entry_points", lambda **_: [entry])
    assert [*image_check.broken_providers()] == [
        "provider missing_one cannot be imported: No module named 'missing_one'"
    ]


def test_plugin_that_does_not_import_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager: Any = ModuleType("airflow.plugins_manager")
    plugin = tmp_path / "plugins" / "page.py"
    manager.ensure_plugins_loaded = lambda: None
    manager.get_import_errors = lambda: {str(plugin): "Traceback\nNo module named 'x'"}
    monkeypatch.setitem(sys.modules, "airflow.plugins_manager", manager)
    monkeypatch.setattr(image_check, "entry_points", lambda **_: [])
    # Without a plugin Airflow is not imported.
    assert not [*image_check.broken_plugins(tmp_path)]
    plugin.parent.mkdir()
    plugin.touch()
    assert [*image_check.broken_plugins(tmp_path)] == [
        "plugin page.py cannot be imported: No module named 'x'"
    ]
