"""The local CloudFormation emulator as a process: MiniStack with patches, on loopback.

It outlives the command that starts it: one command deploys, the next shows the status.
A record in its folder names the process and its port. The process is identified by its
ID, start time, command and folder, because process IDs are reused and folders copied.

On a regular stop it saves its state and loads it at the next start. If it is killed,
its state is lost, and the next start reports that.
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
from typing import Literal, Self, TextIO, TypedDict

from cli import console
from local import processes
from local.emulator import control_client, venv
from local.errors import EmulatorError

FOLDER = Path(".local/emulator")
MODULE = "local.emulator.patches"
UNCALLED = "templates/resources/never_called.json"
"""Actions that CloudFormation never calls for this project's templates."""

STATE_FOLDERS = ("services", "tmp", "s3")
HOST = "127.0.0.1"
ACCOUNT = "123456789012"
"""Also the access key: MiniStack takes the account from it."""

SECRET_ACCESS_KEY = "local"  # noqa: S105 - anything will do on the loopback
REGION = "us-east-1"

SECONDS_TO_START = 30.0
SECONDS_TO_STOP = 5.0
SECONDS_TO_ANSWER = 2.0
SECONDS_TO_LOCK = 60.0
"""Another command holds the lock for as long as it starts or stops the emulator."""

POLL_SECONDS = 0.02
LEAST_BYTES_FREE = 20_000_000
"""The state is written when the emulator stops, when it is too late to report."""

LARGEST_PORT = 65_535
LARGEST_PROCESS_ID = 2**22
"""The largest of Linux; macOS has smaller ones."""

LOG_TAIL_LINES = 20
"""Lines of the log that an error shows."""

INHERITED = ("HOME", "LANG", "PATH", "TZ")
"""Variables that it gets from the caller's environment; never credentials."""

MigrationMode = Literal["stub", "real"]
Tell = Callable[[str], None]


class ClientOptions(TypedDict):
    """What ``boto3.client`` needs to reach the emulator instead of AWS."""

    endpoint_url: str
    region_name: str
    aws_access_key_id: str
    aws_secret_access_key: str


@dataclass(frozen=True, kw_only=True)
class EmulatorRecord:
    """The process that runs an emulator."""

    pid: int
    started: str
    """As the operating system writes it; ID and start time name one process."""
    port: int

    @property
    def endpoint_url(self) -> str:
        """The address it listens at."""
        return f"http://{HOST}:{self.port}"


def _silent(_text: str) -> None:
    """Discard progress messages."""


class EmulatorProcess:
    """The emulator of one folder; any number may run side by side."""

    def __init__(
        self,
        project: Path,
        folder: Path | None = None,
        *,
        region: str = REGION,
        migration: MigrationMode = "stub",
        functions_endpoint: str = "",
        tell: Tell = _silent,
    ) -> None:
        self.project = project
        self.folder = folder or project / FOLDER
        self.region = region
        self.account = ACCOUNT
        self.migration = migration
        self.functions_endpoint = functions_endpoint
        """AWS endpoint of Lambda functions; empty for the emulator itself."""
        self.was_lost = False
        """Whether an earlier process died and lost its state; known after ``start``."""
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
        """The path of its log."""
        return self.folder / "log"

    @property
    def endpoint_url(self) -> str:
        """The address it listens at. Raises EmulatorError if it does not run."""
        return self._running_record().endpoint_url

    @property
    def client_options(self) -> ClientOptions:
        """Arguments of ``boto3.client`` that select the emulator instead of AWS."""
        return ClientOptions(
            endpoint_url=self.endpoint_url,
            region_name=self.region,
            aws_access_key_id=self.account,
            aws_secret_access_key=SECRET_ACCESS_KEY,
        )

    def running(self) -> EmulatorRecord | None:
        """Return the record of the process that runs in this folder, if one does."""
        record = self._read_record()
        if record and _is_emulator(record, self.folder):
            return record
        return None

    def start(self) -> EmulatorRecord:
        """Start the emulator unless it runs; return its record."""
        self._check_folder()
        python = venv.python(self.project, self._tell)
        with self._locked():
            record = self.running()
            if record and _answers(record):
                return record
            if record:  # alive, but not responding
                processes.end(record.pid, record.started, grace=SECONDS_TO_STOP)
            self._clear_after_death()
            self._set_damaged_state_aside()
            try:
                return self._launch(python)
            except EmulatorError:
                if "ModuleNotFoundError" not in _tail(self.log):
                    raise
            self._tell(f"{venv.ENVIRONMENT}/ is damaged; repairing it ...")
            (self.project / venv.ENVIRONMENT / venv.STAMP).unlink(missing_ok=True)
            return self._launch(venv.python(self.project, self._tell))

    def stop(self) -> bool:
        """End it, with its state saved; return whether it ran."""
        with self._locked():
            record = self.running()
            if record:
                processes.end(record.pid, record.started, grace=SECONDS_TO_STOP)
                # A Lambda function that still runs would outlive it by minutes.
                processes.kill_group(record.pid)
                self._record_file.unlink(missing_ok=True)
        return record is not None

    def erase(self) -> None:
        """End it and delete its state."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def resource_kinds(self) -> dict[str, dict[str, control_client.Kind]]:
        """Return how each resource is emulated, by stack name and logical ID."""
        with self._reporting_death() as endpoint_url:
            return control_client.resource_kinds(
                endpoint_url, account=self.account, region=self.region
            )

    @contextlib.contextmanager
    def _reporting_death(self) -> Iterator[str]:
        """Give its address; report a connection error as the emulator's death."""
        try:
            yield self.endpoint_url
        except OSError as error:
            raise self._not_running() from error

    def _running_record(self) -> EmulatorRecord:
        record = self.running()
        if record is None:
            raise self._not_running()
        return record

    def _not_running(self) -> EmulatorError:
        if self._read_record() is None:
            return EmulatorError("The emulator does not run.", "Start it first.")
        return EmulatorError(
            f"The emulator died; its log ends:\n{_tail(self.log)}",
            "Its state is lost. Run the command again to start with none.",
        )

    def _launch(self, python: Path) -> EmulatorRecord:
        """Start the process on a socket that is already bound, and wait for it."""
        for name in STATE_FOLDERS:
            (self.folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        uncalled = self.project / UNCALLED
        with socket.create_server((HOST, 0)) as listener, self.log.open("wb") as log:
            port = listener.getsockname()[1]
            command = [
                *(python, "-P", "-m", MODULE),
                *("--socket", listener.fileno(), "--schemas", venv.schemas()),
                *("--reference", venv.action_reference()),
                *(("--uncalled", uncalled) if uncalled.exists() else ()),
            ]
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
        # This process never waits for it: it outlives this process.
        process.returncode = 0
        record = EmulatorRecord(
            pid=process.pid, started=processes.started(process.pid) or "", port=port
        )
        self._write_record(record)
        try:
            with console.waiting_for("the emulator to start"):
                self._wait(record)
        except BaseException:
            processes.end(record.pid, record.started, grace=SECONDS_TO_STOP)
            self._record_file.unlink(missing_ok=True)
            raise
        return record

    def _wait(self, record: EmulatorRecord) -> None:
        deadline = time.monotonic() + SECONDS_TO_START
        while not _answers(record):
            if not processes.is_alive(record.pid, record.started):
                raise EmulatorError(
                    f"The emulator did not start; its log ends:\n{_tail(self.log)}",
                    f"If the log does not help, delete {self.folder} and try again.",
                )
            if time.monotonic() > deadline:
                raise EmulatorError(
                    f"The emulator did not answer within {SECONDS_TO_START:.0f} s; "
                    f"its log ends:\n{_tail(self.log)}",
                    "Try again when this machine is less busy.",
                )
            time.sleep(POLL_SECONDS)

    def _environment(self, port: int) -> dict[str, str]:
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        if self.functions_endpoint:
            inherited["AWS_ENDPOINT_URL"] = self.functions_endpoint
        return inherited | {
            "BIND_HOST": HOST,
            "GATEWAY_PORT": str(port),
            "IOT_MTLS_ENABLED": "0",
            "LOCAL_MIGRATION": self.migration,
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
        """Delete the state of an emulator that was killed: it is out of date."""
        if self._read_record() is None:
            return
        self.was_lost = True
        for name in STATE_FOLDERS:
            shutil.rmtree(self.folder / name, ignore_errors=True)
        self._record_file.unlink(missing_ok=True)

    def _set_damaged_state_aside(self) -> None:
        """Start with no stacks where a saved file cannot be read, and say so."""
        services = self.folder / "services"
        for file in services.glob("*.json"):
            try:
                json.loads(file.read_text())
            except ValueError:
                aside = services.with_name("services.damaged")
                shutil.rmtree(aside, ignore_errors=True)
                services.rename(aside)
                self._tell(
                    f"{file.name} of the saved state is damaged; the emulator starts "
                    f"without stacks. The state is in {aside}."
                )
                return

    def _check_folder(self) -> None:
        """Raise EmulatorError where it cannot run, or cannot save its state."""
        if os.pathsep in str(self.project):
            raise EmulatorError(
                f"The path {self.project} has a colon, which Python takes for two "
                "paths.",
                "Move the project to a path without a colon.",
            )
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if shutil.disk_usage(self.folder).free < LEAST_BYTES_FREE:
            raise EmulatorError(
                f"The disk of {self.folder} is full, so its state could not be saved.",
                f"Free {LEAST_BYTES_FREE // 1_000_000} MB, and run this again.",
            )

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Admit one process at a time to start or stop the emulator of this folder.

        Raises EmulatorError when another one holds the lock for SECONDS_TO_LOCK.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.folder / "lock").open("a+") as lock:
            deadline = time.monotonic() + SECONDS_TO_LOCK
            with console.waiting_for("another command that starts or stops it"):
                while not _took(lock.fileno()):
                    if time.monotonic() > deadline:
                        raise self._locked_out(lock)
                    time.sleep(POLL_SECONDS)
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield

    def _locked_out(self, lock: TextIO) -> EmulatorError:
        lock.seek(0)
        holder = lock.read().strip() or "unknown"
        return EmulatorError(
            f"Another command has held its lock for {SECONDS_TO_LOCK:.0f} s (process "
            f"{holder}).",
            "Continue that command (fg, if Ctrl-Z stopped it) or end it.",
        )

    @property
    def _record_file(self) -> Path:
        return self.folder / "process.json"

    def _read_record(self) -> EmulatorRecord | None:
        if not self._record_file.is_file():  # reading a named pipe would block
            return None
        try:
            record = EmulatorRecord(**json.loads(self._record_file.read_text()))
        except (OSError, TypeError, ValueError, RecursionError):
            return None
        numbers = (record.pid, LARGEST_PROCESS_ID), (record.port, LARGEST_PORT)
        is_whole = isinstance(record.started, str) and all(
            type(number) is int and 0 < number <= largest for number, largest in numbers
        )
        return record if is_whole else None

    def _write_record(self, record: EmulatorRecord) -> None:
        new_file = self._record_file.with_suffix(".new")
        new_file.write_text(json.dumps(asdict(record)))
        new_file.replace(self._record_file)


def _answers(record: EmulatorRecord) -> bool:
    """Return whether the recorded process answers at its port."""
    try:
        answer = control_client.identity(record.endpoint_url, seconds=SECONDS_TO_ANSWER)
    except (OSError, ValueError):
        return False
    return bool(answer.get("pid") == record.pid)


def _is_emulator(record: EmulatorRecord, folder: Path) -> bool:
    """Return whether the recorded process is alive and runs this module there."""
    is_alive = processes.is_alive(record.pid, record.started)
    return (
        is_alive
        and MODULE in processes.command(record.pid).split()
        and processes.works_in(record.pid, folder)
    )


def _took(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _tail(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return "(no log)"
    return "\n".join(lines[-LOG_TAIL_LINES:]) or "(nothing)"
