"""The local substitute for a container image: programs, entry point, folders."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

SYSTEM_PATH = ("/usr/local/bin", "/usr/bin", "/bin")


@dataclass(frozen=True, kw_only=True)
class ContainerImage:
    """Programs, entry point and writable folders."""

    path: tuple[str, ...] = SYSTEM_PATH
    """The search path for programs."""
    entrypoint: tuple[str, ...] = ()
    default_program: str = ""
    """Put before a command that is no program, as Airflow's entry point does."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """What the image itself sets; paths as in the container."""
    own_folders: tuple[str, ...] = ("/tmp",)  # noqa: S108 - in the container
    """Folders of the container of which each task has its own."""
    home: str = "/tmp"  # noqa: S108 - as above
    python_path: tuple[str, ...] = ()
    """Folders of further Python packages."""
    programs: Mapping[str, str] = field(default_factory=dict)
    """Program -> text of a script that replaces it in every task."""

    @classmethod
    def of_airflow(cls, environment: Path, added: Path | None = None) -> ContainerImage:
        """Return an equivalent of ``apache/airflow``, from a virtual environment.

        It must hold Airflow and the package ``dumb-init``; ``added`` is another one,
        with packages that are not in the first. The image's own wait for connections
        is missing: the templates switch it off.
        """
        programs = environment / "bin"
        missing = [
            name
            for name in ("python", "airflow", "dumb-init")
            if not (programs / name).exists()
        ]
        if missing:
            raise FileNotFoundError(
                f"{programs} has no {', '.join(missing)}: install Airflow and "
                "dumb-init into this environment"
            )
        return cls(
            path=(
                str(programs),
                *([str(added / "bin")] if added else []),
                *SYSTEM_PATH,
            ),
            python_path=tuple(
                map(str, added.glob("lib/python3.*/site-packages") if added else ())
            ),
            entrypoint=(str(programs / "dumb-init"), "--"),
            default_program="airflow",
            environment={
                "AIRFLOW_HOME": "/opt/airflow",
                # The image's default; a worker's task definition turns it off.
                "DUMB_INIT_SETSID": "1",
                "LANG": "C.UTF-8",
                "LC_ALL": "C.UTF-8",
                "PYTHONUNBUFFERED": "1",
            },
            own_folders=("/tmp", "/opt/airflow", "/home/airflow"),  # noqa: S108
            home="/home/airflow",
        )

    def command(self, command: Sequence[str]) -> list[str]:
        """Return what the entry point makes of a command."""
        search = ":".join(self.path)
        is_program = command and shutil.which(command[0], path=search)
        default = [self.default_program] if self.default_program else []
        return [*self.entrypoint, *([] if is_program else default), *command]


@dataclass(frozen=True)
class TaskFolders:
    """The local paths of a task's own folders."""

    root: Path
    names: tuple[str, ...]

    def make(self) -> None:
        """Make them all."""
        for name in self.names:
            self.outside(name).mkdir(parents=True, exist_ok=True)

    def outside(self, path: str) -> Path:
        """Return where a path of the container lies on this machine."""
        for name in self.names:
            if path == name or path.startswith(f"{name}/"):
                return self.root / path.lstrip("/")
        return Path(path)

    def rewrite(self, text: str) -> str:
        """Return the text with every path below the task's own folders rewritten.

        A path may stand alone, in a list, in JSON or in a command; what goes before
        must not belong to a longer path.
        """
        names = "|".join(re.escape(name) for name in self.names)
        # What follows a URL's host, such as s3://bucket/tmp, is no path here.
        pattern = rf"(?<![\w./\-])({names})(?=$|[/\s\"',;:)\]}}])"
        return re.sub(pattern, lambda match: str(self.outside(match[1])), text)
