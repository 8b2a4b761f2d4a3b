"""A virtual environment with the packages of the stock Airflow image.

The pins are in ``requirements/airflow.txt``. It replaces the container image: the file
system, the user and the entrypoint of the image are not here, only its ``dumb-init``.
Fargate runs the image's own Python, which may be another version.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from local.datastores.venvs import installed


@dataclass(frozen=True)
class AirflowEnvironment:
    """A virtual environment with Airflow in it."""

    folder: Path
    added: Path | None = None
    """A virtual environment with further packages, none of which is in ``folder``."""

    @property
    def programs(self) -> Path:
        """The folder of ``airflow``, ``celery`` and ``dumb-init``, for a ``PATH``."""
        return self.folder / "bin"

    @property
    def python(self) -> Path:
        """Its Python."""
        return self.programs / "python"

    def python_path(self) -> list[Path]:
        """Return the folders of the further packages, for a ``PYTHONPATH``."""
        return [*self.added.glob("lib/python3.*/site-packages")] if self.added else []


def airflow_environment(
    tell: Callable[[str], None] = lambda _text: None,
) -> AirflowEnvironment:
    """Return the environment, installed on the first call: ten seconds, 310 MB.

    ``tell`` gets the installer's output line by line. Raises
    ``local.errors.DatastoreError`` with it.
    """
    return AirflowEnvironment(installed("airflow", tell))
