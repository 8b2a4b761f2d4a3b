"""An AWS of one's own: MiniStack and our shim, as one process on the loopback.

It outlives the command that starts it: one command launches, the next shows the
status. A file in its folder says which process it is and where it listens; a process
ID that has passed to another process is told apart by its start time.

Told to stop, it saves what it holds and has it again at the next start. Killed, it
loses what it held since, and the next start says so.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TypedDict

from local import processes
from local.emulator import control_client, venv
from local.errors import EmulatorError

FOLDER = Path(".local/emulator")
HOST = "127.0.0.1"
ACCOUNT = "123456789012"
"""The access key, too: MiniStack takes the account from it."""

SECRET_ACCESS_KEY = "local"  # noqa: S105 - anything will do on the loopback
REGION = "us-east-1"

SECONDS_TO_START = 30.0
SECONDS_TO_STOP = 5.0
SECONDS_TO_ANSWER = 2.0
POLL_SECONDS = 0.02
TAIL = 20
"""Lines of the log that tell why it did not start."""

KEPT = ("HOME", "LANG", "PATH", "TZ")
"""All it needs of the caller's environment: credentials must not get there."""

Gate = Literal["stand-in", "real"]
Tell = Callable[[str], None]


class ClientOptions(TypedDict):
    """What ``boto3.client`` needs to reach the emulator instead of AWS."""

    endpoint_url: str
    region_name: str
    aws_access_key_id: str
    aws_secret_access_key: str


@dataclass(frozen=True, kw_only=True)
class Running:
    """The process that is the emulator now."""

    pid: int
    started: str
    """In the words of its system; with the ID it names one process for ever."""
    port: int

    @property
    def endpoint_url(self) -> str:
        """Where it listens."""
        return f"http://{HOST}:{self.port}"


def _silent(_text: str) -> None:
    """Say nothing."""


class Emulator:
    """One emulator in one folder; any number may run side by side."""

    def __init__(
        self,
        project: Path,
        folder: Path | None = None,
        *,
        region: str = REGION,
        gate: Gate = "stand-in",
        functions_call: str = "",
        tell: Tell = _silent,
    ) -> None:
        self.project = project
        self.folder = folder or project / FOLDER
        self.region = region
        self.account = ACCOUNT
        self.gate = gate
        self.functions_call = functions_call
        """Where functions find AWS and their role; nothing for the emulator itself."""
        self.was_lost = False
        """Whether an earlier one died with what it held; known after ``start``."""
        self._tell = tell

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def log(self) -> Path:
        """Where it writes what it does."""
        return self.folder / "log"

    @property
    def endpoint_url(self) -> str:
        """Where it listens; an error when it does not run."""
        return self._required().endpoint_url

    @property
    def client_options(self) -> ClientOptions:
        """What ``boto3.client`` needs to reach it instead of AWS."""
        return ClientOptions(
            endpoint_url=self.endpoint_url,
            region_name=self.region,
            aws_access_key_id=self.account,
            aws_secret_access_key=SECRET_ACCESS_KEY,
        )

    def running(self) -> Running | None:
        """Return the process that runs in this folder, if one does."""
        recorded = self._recorded()
        if recorded and processes.is_alive(recorded.pid, recorded.started):
            return recorded
        return None

    def start(self) -> Running:
        """Return the emulator of this folder, started if it does not run."""
        python = venv.python(self.project, self._tell)
        with self._locked():
            found = self.running()
            if found and _answers(found):
                return found
            if found:  # alive, and deaf
                processes.end(found.pid, found.started, grace=SECONDS_TO_STOP)
            self._clear_after_death()
            return self._launch(python)

    def stop(self) -> bool:
        """End it, with what it holds saved; return whether there was one."""
        with self._locked():
            found = self.running()
            if found:
                processes.end(found.pid, found.started, grace=SECONDS_TO_STOP)
                # A function that waits for something would outlive it by minutes.
                processes.kill_group(found.pid)
                self._record_file.unlink(missing_ok=True)
        return found is not None

    def erase(self) -> None:
        """End it and forget everything it held."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def resource_kinds(self) -> dict[str, dict[str, control_client.Kind]]:
        """Return what each resource is here, by stack name and logical ID."""
        with self._answering() as endpoint_url:
            return control_client.resource_kinds(
                endpoint_url, account=self.account, region=self.region
            )

    @contextlib.contextmanager
    def _answering(self) -> Iterator[str]:
        """Give its address; an emulator that dies meanwhile is a clear error."""
        try:
            yield self.endpoint_url
        except OSError as error:
            raise self._died() from error

    def _required(self) -> Running:
        found = self.running()
        if found is None:
            raise self._died()
        return found

    def _died(self) -> EmulatorError:
        if self._recorded() is None:
            return EmulatorError("The emulator does not run.", "Start it first.")
        return EmulatorError(
            f"The emulator died; its log ends:\n{_tail(self.log)}",
            "What it held is lost. Run the command again to start afresh.",
        )

    def _launch(self, python: Path) -> Running:
        """Start the process on a socket that is already ours, and wait for it."""
        for part in ("services", "tmp", "s3"):
            (self.folder / part).mkdir(mode=0o700, parents=True, exist_ok=True)
        with socket.create_server((HOST, 0)) as listener, self.log.open("wb") as log:
            port = listener.getsockname()[1]
            command = [
                python,
                "-P",
                "-m",
                "local.emulator.patches",
                "--socket",
                listener.fileno(),
            ]
            command += ["--schemas", venv.schemas()]
            process = subprocess.Popen(  # noqa: S603 - our own environment
                [str(word) for word in command],
                env=self._environment(port),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[listener.fileno()],
                # Ctrl-C at a terminal is for the command, not for the emulator.
                start_new_session=True,
            )
        # Not waited for by us: it outlives this process.
        process.returncode = 0
        running = Running(
            pid=process.pid, started=processes.started(process.pid) or "", port=port
        )
        self._record(running)
        try:
            self._wait(running)
        except BaseException:
            processes.end(running.pid, running.started, grace=SECONDS_TO_STOP)
            self._record_file.unlink(missing_ok=True)
            raise
        return running

    def _wait(self, running: Running) -> None:
        deadline = time.monotonic() + SECONDS_TO_START
        while not _answers(running):
            if not processes.is_alive(running.pid, running.started):
                raise EmulatorError(
                    f"The emulator did not start; its log ends:\n{_tail(self.log)}",
                    "If that says nothing to you, remove its folder and try again.",
                )
            if time.monotonic() > deadline:
                raise EmulatorError(
                    f"The emulator did not answer within {SECONDS_TO_START:.0f} s; "
                    f"its log ends:\n{_tail(self.log)}",
                    "Try again when this machine is less busy.",
                )
            time.sleep(POLL_SECONDS)

    def _environment(self, port: int) -> dict[str, str]:
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        if self.functions_call:
            kept["AWS_ENDPOINT_URL"] = self.functions_call
        return kept | {
            "BIND_HOST": HOST,
            "GATEWAY_PORT": str(port),
            "IOT_MTLS_ENABLED": "0",
            "LOCAL_GATE": self.gate,
            "LOG_LEVEL": "WARNING",
            "MINISTACK_ACCOUNT_ID": self.account,
            "MINISTACK_REGION": self.region,
            "PERSIST_STATE": "1",
            "PYTHONPATH": str(self.project),
            "PYTHONUNBUFFERED": "1",
            "REDIS_HOST": HOST,
            "S3_DATA_DIR": str(self.folder / "s3"),
            "S3_PERSIST": "1",
            "SFTP_ENABLED": "0",
            "STATE_DIR": str(self.folder / "services"),
            "TMPDIR": str(self.folder / "tmp"),
        }

    def _clear_after_death(self) -> None:
        """Throw away what an emulator that was killed left: it is out of date."""
        if self._recorded() is None:
            return
        self.was_lost = True
        for part in ("services", "tmp", "s3"):
            shutil.rmtree(self.folder / part, ignore_errors=True)
        self._record_file.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Let one process at a time start or stop the emulator of this folder."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @property
    def _record_file(self) -> Path:
        return self.folder / "process.json"

    def _recorded(self) -> Running | None:
        try:
            return Running(**json.loads(self._record_file.read_text()))
        except (FileNotFoundError, TypeError, ValueError):
            return None

    def _record(self, running: Running) -> None:
        fresh = self._record_file.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(running)))
        fresh.replace(self._record_file)


def _answers(running: Running) -> bool:
    """Whether the process itself answers at its port."""
    try:
        found = control_client.identity(running.endpoint_url, seconds=SECONDS_TO_ANSWER)
    except (OSError, ValueError):
        return False
    return bool(found.get("pid") == running.pid)


def _tail(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return "(no log)"
    return "\n".join(lines[-TAIL:]) or "(nothing)"
