"""The packages of a team, beside those of ``local.airflow_environment``.

They are the packages of ``image/requirements.txt``, and those of the stock image that
DAG files import, with all that they need. The constraints let none of them replace a
package of Airflow, so an environment of their own holds what is added and nothing else.
Its folder is named after everything that decides its contents: a second start installs
nothing.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from cli.errors import Failure, Problem
from local import stock_modules
from local.airflow_environment import AirflowEnvironment, airflow_environment
from local.dag_folder import dag_files
from local.stock_modules import StockImport
from local.venvs import Tell, install_pins
from requirements import install
from team_image.folder import ImageFolder
from team_image.resolution import BASE, CONSTRAINTS, pins, stock

CACHE = Path(".cache") / "packages"


@dataclass(frozen=True)
class TeamPackages:
    """What a local environment holds beyond the packages of Airflow."""

    image: ImageFolder
    added: frozenset[str] = frozenset()
    """Names of packages of the stock image that DAG files and plugins import."""
    _held: frozenset[str] = field(default_factory=lambda: frozenset(_base_pins()))

    @classmethod
    def of(cls, image: ImageFolder, dags: Path) -> TeamPackages:
        """Return the packages that a folder of DAG files and the plugins need."""
        packages = cls(image)
        files = [*(path for _, path in dag_files(dags)), *image.plugin_files().values()]
        return cls(image, frozenset(i.distribution for i in packages.lacking(files)))

    def lacking(self, files: Iterable[Path]) -> list[StockImport]:
        """Return what files import of the stock image and is not held."""
        scripts = [path for path in files if path.suffix == ".py"]
        lacked = stock().keys() - self._held - self.added
        return list(stock_modules.imports(scripts, lacked))

    def is_stock(self) -> bool:
        """Whether nothing is added to the packages of Airflow."""
        return not (self.added or self.image.requirement_lines())

    def describe(self) -> str:
        """Return what is added, in a few words."""
        count = len(self.image.requirement_lines())
        parts = [
            f"what {self.image.requirements.name} names" if count else "",
            f"{', '.join(sorted(self.added))} of the stock image" if self.added else "",
        ]
        return " and ".join(part for part in parts if part)

    def install(self, project: Path, tell: Tell) -> AirflowEnvironment:
        """Return the environment, resolved and installed unless it is there already.

        Raises Failure for packages that conflict or cannot be installed.
        """
        base = airflow_environment(tell)
        if self.is_stock():
            return base
        folder = project / CACHE / self._digest()
        pin_file = folder.with_suffix(".txt")
        if not pin_file.exists():
            tell(f"Resolving {self.describe()} ...")
            text = pins(self.image, self.added, ("--python", sys.executable))
            pin_file.parent.mkdir(parents=True, exist_ok=True)
            pin_file.write_text(_without(text, self._held))
        if output := install_pins(folder, pin_file, tell, "--build"):
            raise Failure(
                Problem(
                    where=str(self.image.requirements),
                    what="Its packages cannot be installed on this machine.",
                    why=output,
                    remedy="Install what the message names, such as a compiler or a "
                    "library with its headers; in the image, packages.txt does.",
                )
            )
        return AirflowEnvironment(base.folder, folder)

    def _digest(self) -> str:
        """Return a name for everything that decides what is installed."""
        parts = [
            sys.version,
            BASE.read_text(),
            CONSTRAINTS.read_text(),
            *(text for _, text in self.image.requirement_lines()),
            "",
            *sorted(self.added),
        ]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _without(pins: str, names: Collection[str]) -> str:
    """Return a file of pins without those of some packages."""
    blocks = re.split(r"\n(?=\S)", pins.strip())
    others = (block for block in blocks if block.partition("==")[0] not in names)
    return "".join(f"{block}\n" for block in others)


def _base_pins() -> Collection[str]:
    text = (install.ROOT / "requirements" / "airflow.txt").read_text()
    return re.findall(r"^([\w.-]+)==", text, re.MULTILINE)
