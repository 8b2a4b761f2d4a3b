"""The environment, command, folders and programs of a container.

Nothing of the agent's own environment goes in. ``DEVIATIONS`` lists everything that
differs from Fargate.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from local.ecs.image import ContainerImage, TaskFolders
from local.ecs.model import ContainerDefinition

CONTAINER_SITE = Path(__file__).with_name("container_site")

DEVIATIONS = tuple(
    """\
Paths below the image's own folders, such as /tmp and AIRFLOW_HOME, are rewritten to a \
folder of the task, in values and commands.
A Service Connect name in a URL is rewritten to the address of the agent's proxy.
localhost in a health check is rewritten to the task's own address.
PYTHONPATH begins with a folder whose sitecustomize gives each Python process the \
task's address, from LOCAL_TASK_ADDRESS, and host name.
A port that another program of this machine holds is replaced; LOCAL_PORTS names \
the replacements.
Credentials come by AWS_CONTAINER_CREDENTIALS_FULL_URI, not RELATIVE_URI.
AWS_ENDPOINT_URL names the agent's AWS proxy; TMPDIR the task's folder.
A target that leaves a load balancer is not drained.
""".splitlines()
)


LOCALHOST = re.compile(
    r"(?<![\w.-])(localhost|127\.0\.0\.1)(:(?P<port>\d+))?(?=[:/\s]|$)"
)
"""Names of the container itself in a health check."""


@dataclass(frozen=True)
class TaskSandbox:
    """The address, folders and ports of a task on this machine."""

    address: str
    folders: TaskFolders
    connections: Mapping[tuple[str, int], tuple[str, int]]
    """Service Connect name and port -> address and port of the proxy."""
    block: str = ""
    """Prefix of the addresses of all tasks of this agent."""
    ports: Mapping[int, int] = field(default_factory=dict)
    """Port in the container -> port on this machine."""

    def port(self, number: int) -> int:
        """Return the port on this machine for one of the container."""
        return self.ports.get(number, number)

    def rewrite(self, text: str) -> str:
        """Return a value, or a word of a command, with local paths and addresses."""
        text = self.folders.rewrite(text)
        for (name, port), (host, at) in self.connections.items():
            pattern = rf"(?<=//){re.escape(name)}:{port}(?!\d)"
            text = re.sub(pattern, f"{host}:{at}", text)
        return text

    def rewrite_check(self, text: str) -> str:
        """Return a word of a health check, which calls the task itself."""
        return self.rewrite(LOCALHOST.sub(self._own, text))

    def _own(self, match: re.Match[str]) -> str:
        port = match["port"]
        return f"{self.address}:{self.port(int(port))}" if port else self.address


def environment(
    container: ContainerDefinition,
    image: ContainerImage,
    sandbox: TaskSandbox,
    *,
    secrets: Mapping[str, str],
    fargate: Mapping[str, str],
    extra: Mapping[str, str],
    programs: Path,
    moved_ports: Mapping[int, int],
    replaced_variables: Mapping[str, str],
    rewritten_variables: Mapping[str, Callable[[str], str]],
) -> dict[str, str]:
    """Return the whole environment of a container.

    ``fargate`` is what the platform sets, ``extra`` what this machine needs; neither
    is rewritten, and no secret is. ``replaced_variables`` overrides declared ones,
    ``rewritten_variables`` changes them.
    """
    declared = {
        name: sandbox.rewrite(value)
        for name, value in {
            "HOME": image.home,
            "TMPDIR": "/tmp",  # noqa: S108 - a name in the container
            **image.environment,
            **container.environment,
        }.items()
    }
    own = declared.get("PYTHONPATH", "")
    paths = [str(CONTAINER_SITE), own, *image.python_path]
    return {
        "PATH": ":".join([str(programs), *image.path]),
        **fargate,
        **declared,
        **{
            name: value
            for name, value in replaced_variables.items()
            if name in declared
        },
        **{
            name: change(declared[name])
            for name, change in rewritten_variables.items()
            if name in declared
        },
        **secrets,
        "HOSTNAME": sandbox.address,
        "LOCAL_TASK_ADDRESS": sandbox.address,
        **_moved(sandbox, moved_ports),
        **extra,
        "PYTHONPATH": ":".join(path for path in paths if path),
    }


def _moved(sandbox: TaskSandbox, ports: Mapping[int, int]) -> dict[str, str]:
    if not ports:
        return {}
    pairs = (f"{port}={other}" for port, other in ports.items())
    return {"LOCAL_BLOCK": sandbox.block, "LOCAL_PORTS": ",".join(pairs)}


def listened_ports(container: ContainerDefinition) -> set[int]:
    """Return the ports that a container declares, and those its own check calls."""
    words = container.health.command if container.health else ()
    checked_ports = {
        int(match["port"])
        for word in words
        for match in LOCALHOST.finditer(word)
        if match["port"]
    }
    return {*container.ports.values(), *checked_ports}


def prepare(
    sandbox: TaskSandbox,
    image: ContainerImage,
    programs: Path,
    files: Mapping[str, Path],
) -> None:
    """Create the folders, programs and files of a task."""
    sandbox.folders.make()
    programs.mkdir(parents=True, exist_ok=True)
    own = {"hostname": f"#!/bin/sh\necho {sandbox.address}\n", **image.programs}
    for name, text in own.items():
        program = programs / name
        program.write_text(text)
        program.chmod(0o755)
    for path, source in files.items():
        target = sandbox.folders.outside(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def check_command(words: Sequence[str], sandbox: TaskSandbox) -> list[str]:
    """Return the command of a health check as a process takes it."""
    kind, *rest = words
    rewritten = [sandbox.rewrite_check(word) for word in rest]
    if kind == "CMD-SHELL":
        return ["/bin/sh", "-c", *rewritten]
    return rewritten if kind == "CMD" else [sandbox.rewrite_check(kind), *rewritten]
