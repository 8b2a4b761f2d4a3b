"""One environment, launched in an emulator of its own and run for real.

The order is what the pieces need of each other: the emulator has to know where the
agent's gateway is, because the setup gate's function calls AWS through it; the stores
need the logins that the stack makes; the setup task needs the stores. So the launch
runs in a thread, and the stores start as soon as their logins exist, while the gate's
task already waits for the agent.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import boto3

from delivery import stacks
from delivery.aws import Aws
from delivery.aws import Emulator as Reached
from delivery.dist import ROOT as PARENT
from delivery.dist import Dist
from delivery.problems import Failure
from local.agent import Agent, Image, Settings
from local.airflow_environment import airflow_environment
from local.emulator import SECRET_ACCESS_KEY, Emulator
from local.engines import Authority, EngineError, Postgres, Valkey
from local.engines.processes import free_port
from local.problems import EmulatorError
from local.rehearsal import folders, memory, scaling_bounds, stores
from local.rehearsal.launcher import Launched, Launcher
from local.rehearsal.problems import StageError

FOLDER = Path(".local/rehearsal")
REGION = "eu-central-1"
CERTIFICATES = "/tmp/rds-ca.pem"  # noqa: S108 - in the container
HTTPS, HTTP = 443, 80

PROBE_SECONDS = 1.0
"""How often a container that is not healthy yet is asked; its interval is longer."""

LOGIN_SECONDS = 120.0
LAUNCH_SECONDS = 15 * 60.0
STEADY_SECONDS = 10 * 60.0
STOP_SECONDS = 10.0
"""For what still runs at the end; then it is killed."""

POLL_SECONDS = 0.1

Tell = Callable[[str], None]


class _OverError(Exception):
    """The stage stops; whoever waits gives up."""


class Stage:
    """One environment, running on this machine as it would on AWS."""

    agent: Agent
    emulator: Emulator
    postgres: Postgres
    valkey: Valkey

    def __init__(
        self,
        project: Path,
        environment: str,
        *,
        folder: Path | None = None,
        overrides: Mapping[str, str] | None = None,
        extra_environment: Mapping[str, str] | None = None,
        keeps: bool = False,
        tell: Tell = lambda _text: None,
    ) -> None:
        """Describe the stage; nothing happens before ``start``.

        ``overrides`` are parameters of the parent that are to be others than in the
        environment's file, ``extra_environment`` what every container is told beyond
        its task definition. With ``keeps`` the folder stays, for its logs.
        """
        self.project = project
        self.environment = environment
        self.folder = folder or project / FOLDER
        self.parameters: Mapping[str, str] = {}
        self.seconds: dict[str, float] = {}
        self._named_folder = folder
        self._overrides = dict(overrides or {})
        self._extra = dict(extra_environment or {})
        self._keeps = keeps
        self._tell = tell
        self._begun = time.monotonic()
        self._over = threading.Event()
        self._claim: folders.Claim | None = None
        self._stops: list[Callable[[], object]] = []
        self._stand_ins: dict[str, str] = {}

    # Up and down.

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Return when the stack is complete and every service healthy.

        Raises StageError; whatever was started by then is stopped again.
        """
        self._begun = time.monotonic()
        try:
            self._bring_up()
        except BaseException as error:
            self.stop()
            if isinstance(error, Failure):
                raise StageError.of(error) from error
            if isinstance(error, EmulatorError):
                raise StageError(error.what, remedy=error.remedy) from error
            if isinstance(error, EngineError):
                raise StageError(
                    str(error), remedy="Correct what it names, and run this again."
                ) from error
            if isinstance(error, OSError):
                raise StageError(
                    f"{error.filename or 'This machine'}: {error.strerror or error}.",
                    remedy="Make room, or see to it that you may read and write it; "
                    "then run this again.",
                ) from error
            raise

    def stop(self) -> None:
        """End everything; nothing is left but, if it is to be kept, the folder."""
        self._over.set()
        while self._stops:
            self._stops.pop()()
        claim, self._claim = self._claim, None
        if claim and self._keeps:
            claim.keep()
        elif claim:
            claim.give_up()

    def _bring_up(self) -> None:
        built = Dist.read(self.project / "dist")
        launched = built.environment(self.environment)
        launched = replace(
            launched, parameters={**launched.parameters, **self._overrides}
        )
        self.parameters = _resolved(built, launched.parameters)
        self._take_folder()
        dist = self._copied(built)
        authority = Authority(self.folder / "ca")
        with ThreadPoolExecutor(4, thread_name_prefix="stage") as pool:
            image = pool.submit(lambda: Image.of_airflow(airflow_environment().folder))
            port = free_port()
            self._start_emulator(port)
            self._passed("emulator")
            self._make_agent(port, authority, image.result())
            self._launcher = Launcher(self._aws(), dist)
            self._environment = launched
            launch = self._in_thread(lambda: self._launched({}))
            self._start_stores(dist.folder, authority, launch)
            self._passed("stores")
            self.agent.start()
            self._wait_for_launch(launch)
            self._passed("setup gate and stack")
            scaling_bounds.apply(self.client)
            self._wait_until_steady()
            self._passed("healthy")

    def _take_folder(self) -> None:
        if self._named_folder:
            self._claim = folders.claim_this(self._named_folder)
            if self._claim is None:
                raise StageError(
                    f"{self._named_folder} is another rehearsal's.",
                    remedy="Name another folder, or let that one end.",
                )
        else:
            self._claim = folders.claim(self.project / FOLDER, self.environment)
        self.folder = self._claim.folder.resolve()
        # A crash may have left its emulator running.
        Emulator(self.project, self.folder / "aws").erase()
        for left in self.folder.iterdir():
            if left.name == folders.LOCK:
                continue
            if left.is_dir():
                shutil.rmtree(left)
            else:
                left.unlink()

    def _copied(self, built: Dist) -> Dist:
        """Write down what is launched: a build meanwhile must not change it."""
        copy = self.folder / "dist"
        for path in (*built.files, "manifest.json"):
            target = copy / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(
                built.files.get(path) or (built.folder / path).read_bytes()
            )
        return Dist.read(copy)

    def _start_emulator(self, port: int) -> None:
        self.emulator = Emulator(
            self.project,
            self.folder / "aws",
            region=REGION,
            gate="real",
            functions_call=f"http://127.0.0.1:{port}",
            tell=self._tell,
        )
        self._stops.append(self.emulator.stop)
        self.emulator.start()

    def _make_agent(self, port: int, authority: Authority, image: Image) -> None:
        names = [self.parameters.get("DomainName", "")]
        door = authority.issue("door", [name for name in names if name])
        self.agent = Agent(
            Settings(
                emulator_url=self.emulator.endpoint_url,
                gateway_port=port,
                folder=self.folder / "a",
                image=image,
                region=REGION,
                account=self.emulator.account,
                extra_environment={
                    "SSL_CERT_FILE": str(authority.ca_path),
                    **self._extra,
                },
                stand_ins=self._stand_ins,
                files={CERTIFICATES: authority.ca_path},
                probe_seconds=PROBE_SECONDS,
                door_certificate=(door.certificate_path, door.key_path),
            )
        )
        self._stops.append(lambda: self.agent.stop(STOP_SECONDS))

    def _start_stores(
        self, dist: Path, authority: Authority, launch: Future[Launched]
    ) -> None:
        secrets = self.client("secretsmanager")
        master = self._login(secrets, stores.MASTER, launch)
        self.postgres = stores.database(
            dist, authority, master, stores.max_connections(self.parameters)
        )
        self._stops.append(self.postgres.stop)
        at = self.postgres.start(self.folder / "db")
        for store in ("METADATA", "RESULTS"):
            self._stand_ins[f"{store}_HOST"] = at.host
            self._stand_ins[f"{store}_PORT"] = str(at.port)
        login = self._login(secrets, stores.BROKER, launch)
        self.valkey = stores.broker(dist, authority, login["password"])
        self._stops.append(self.valkey.stop)
        at = self.valkey.start(self.folder / "mq")
        self._stand_ins["BROKER_HOST"] = at.host
        self._stand_ins["BROKER_PORT"] = str(at.port)

    # Waiting, each for a bounded time.

    def _login(
        self, secrets: Any, words: str, launch: Future[Launched]
    ) -> dict[str, str]:
        def look() -> dict[str, str] | None:
            if launch.done():
                self._conclude(launch.result())
            return stores.login(secrets, words)

        return dict(self._wait(look, LOGIN_SECONDS, f"the stack's secret {words}"))

    def _wait_for_launch(self, launch: Future[Launched]) -> None:
        self._wait(launch.done, LAUNCH_SECONDS, "the launch of the stack")
        self._conclude(launch.result())

    def _conclude(self, launched: Launched) -> None:
        if not launched.is_good:
            raise StageError(
                f"The launch of {self.environment} failed.",
                launched.text,
                "Correct what the cause names, run make templates, then this again.",
            )

    def _wait_until_steady(self) -> None:
        def look() -> bool:
            failed = [
                f"{kept.service.name}: {kept.primary.reason}"
                for kept in list(self.agent.services.kept.values())
                if kept.primary.rollout.value == "FAILED"
            ]
            if failed:
                raise StageError(
                    "A service does not start.",
                    "\n".join([*failed, self._unwell()]),
                    "Correct what its log says, then run this again.",
                )
            return self.agent.is_steady()

        self._wait(look, STEADY_SECONDS, "every service to be healthy", self._unwell)

    def _wait(
        self,
        look: Callable[[], Any],
        seconds: float,
        what: str,
        why: Callable[[], str] = lambda: "",
    ) -> Any:
        deadline = time.monotonic() + seconds
        while not (found := look()):
            if time.monotonic() > deadline:
                raise StageError(
                    f"Waited {seconds:.0f} s for {what}.",
                    why(),
                    "Try again when this machine is less busy.",
                )
            self._pause(POLL_SECONDS)
        return found

    def _pause(self, seconds: float) -> None:
        if self._over.wait(seconds):
            raise _OverError

    def _unwell(self) -> str:
        """Return what is not well, and why, as far as it is known."""
        told = [
            f"{row.name} {row.task_id[:8]}: {row.status}, {row.health} after "
            f"{row.seconds:.0f} s {row.reason}".rstrip()
            for row in self.agent.rows()
            if row.health != "HEALTHY" or row.status != "RUNNING"
        ]
        return "\n".join([*told, *self.agent.problems, *self.agent.roles.refused])

    def _passed(self, phase: str) -> None:
        self.seconds[phase] = time.monotonic() - self._begun
        self._tell(f"{self.seconds[phase]:5.1f} s  {phase}")

    # What runs.

    @property
    def url(self) -> str:
        """Address of the public listener: HTTPS where there is one."""
        doors = self.agent.doors()
        return doors.get(HTTPS) or doors[HTTP]

    def client(self, service: str) -> Any:
        """Return a client of boto3, with every right, as an administrator has."""
        return boto3.client(
            service,
            endpoint_url=self.agent.url,
            region_name=REGION,
            aws_access_key_id=self.emulator.account,
            aws_secret_access_key=SECRET_ACCESS_KEY,
        )

    @property
    def outputs(self) -> Mapping[str, str]:
        """What the parent gives, by name."""
        name = self._environment.stack_name
        return stacks.existing(self._launcher.aws, name).outputs

    @property
    def admin(self) -> tuple[str, str]:
        """User and password of the first administrator."""
        words = self.outputs["AdminLoginCommand"].split()
        arn = words[words.index("--secret-id") + 1]
        held = self.secret(arn.rpartition(":")[2].rpartition("-")[0])
        return held["username"], held["password"]

    def secret(self, words: str) -> dict[str, str]:
        """Return a secret by a part of its name or its description."""
        found = stores.login(self.client("secretsmanager"), words)
        if found is None:
            raise StageError(f"No secret has {words} in its name or description.")
        return found

    def launch(self, changes: Mapping[str, str]) -> Launched:
        """Launch the same stack with some parameters changed; follow it to the end.

        The parameters stay changed. Raises StageError when it cannot begin.
        """
        try:
            launched = self._launched(changes)
        except Failure as error:
            raise StageError.of(error) from error
        scaling_bounds.apply(self.client)
        return launched

    def put_dags(self, folder: Path) -> None:
        """Upload every file of a folder to where DAGs are read."""
        bucket, store = self.outputs["DagBucketName"], self.client("s3")
        for file in sorted(folder.rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                store.upload_file(
                    str(file), bucket, file.relative_to(folder).as_posix()
                )

    def deviations(self) -> list[str]:
        """Return what differs from AWS, a sentence each."""
        return self.agent.deviations()

    def memory_mebibytes(self) -> float:
        """Return what every process of this stage takes, this one included."""
        emulator = self.emulator.running()
        return memory.mebibytes(
            [os.getpid(), *([emulator.pid] if emulator else [])],
        )

    # The launch.

    def _launched(self, changes: Mapping[str, str]) -> Launched:
        old = self._environment
        self._environment = replace(old, parameters={**old.parameters, **changes})
        self.parameters = {**self.parameters, **changes}
        return self._launcher.launch(self._environment, self._pause)

    def _aws(self) -> Aws:
        options = self.emulator.client_options
        return Aws(
            emulator=Reached(
                endpoint=self.agent.url,
                region=REGION,
                access_key_id=options["aws_access_key_id"],
                secret_access_key=options["aws_secret_access_key"],
                kinds=self.emulator.resource_kinds,
            )
        )

    def _in_thread(self, work: Callable[[], Launched]) -> Future[Launched]:
        """Begin work that ends by itself once the stage is over."""
        future: Future[Launched] = Future()

        def run() -> None:
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001 - who waits raises it
                future.set_exception(error)

        thread = threading.Thread(target=run, name="launch", daemon=True)
        thread.start()
        return future


def _resolved(dist: Dist, given: Mapping[str, str]) -> dict[str, str]:
    """Return every parameter of the parent with its value."""
    declared = dist.templates[PARENT]["Parameters"]
    return {name: str(one.get("Default", "")) for name, one in declared.items()} | dict(
        given
    )
