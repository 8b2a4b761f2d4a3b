"""One environment, launched in an emulator of its own, with the real Airflow.

The order is what the pieces need of each other: the emulator has to know the address of
the local ECS agent's AWS proxy, because the migration job's function calls AWS through
it; the datastores need the logins that the stack makes; the migration job needs the
datastores. So the launch runs in a thread, and the datastores start as soon as their
logins exist, while the migration job already waits for the agent.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from deploy.aws import Aws, EmulatorEndpoint
from deploy.dist import MANIFEST, Dist, Environment
from deploy.dist import ROOT as PARENT
from local import airflow_image, folders, interrupts, kept_data, memory, stores
from local.airflow_environment import airflow_environment
from local.client import REGION, EnvironmentClient
from local.datastores import Authority, Postgres, Valkey
from local.datastores.processes import free_port
from local.datastores.venvs import installed
from local.ecs import AgentSettings, ContainerImage, EcsAgent
from local.ecs.agent import TaskRow
from local.ecs.scheduler import RolloutState
from local.emulator.process import SECRET_ACCESS_KEY, EmulatorProcess
from local.errors import EnvironmentStopped, LocalEnvironmentError
from local.kept_data import KeptData
from local.launcher import Launcher, LaunchResult
from local.outside_server import OutsideServer
from local.packages import TeamPackages
from local.running_environments import FOLDER, RunningEnvironment
from local.waiting import Waiting, in_thread

RELAY_URL = "RELAY_URL"
"""Variable of the verification relay: the listener has another address here."""

CERTIFICATES = "/tmp/rds-ca.pem"  # noqa: S108 - in the container

OF_AWS = {"FernetKeySecretArn": ""}
"""Parameters that name what only the account has. The database here is a new one, so
it gets a key of its own."""

PROBE_SECONDS = 2.0
"""How often the health check of a container that is not healthy yet runs; its interval
is longer. More often would cost more than it saves: a check starts a Python."""

LOGIN_SECONDS = 120.0
LAUNCH_SECONDS = 15 * 60.0
STEADY_SECONDS = 10 * 60.0
STOP_SECONDS = 4.0
"""For tasks that still run at the end; then they are killed."""

MEMORY_SECONDS = 15.0
"""How often memory is measured for its peak. The kernel takes a quarter of a second of
CPU for the pages of seventy processes."""

HEALTHY = "all healthy"
"""The last phase of a start."""

Tell = Callable[[str], None]


class LocalEnvironment(EnvironmentClient):
    """One environment, running on this machine as it would on AWS."""

    emulator: EmulatorProcess
    postgres: Postgres
    valkey: Valkey

    def __init__(
        self,
        project: Path,
        name: str,
        *,
        folder: Path | None = None,
        overrides: Mapping[str, str] | None = None,
        extra_environment: Mapping[str, str] | None = None,
        secrets: Mapping[str, str] | None = None,
        policies: Mapping[str, Mapping[str, Any]] | None = None,
        dags: Iterable[Path] = (),
        packages: TeamPackages | None = None,
        outside_servers: Iterable[OutsideServer] = (),
        keeps: bool = False,
        keeps_data: bool = False,
        reloads: bool = False,
        begun_at: float | None = None,
        tell: Tell = lambda _text: None,
    ) -> None:
        """Nothing happens before ``start``.

        ``name`` is a file of ``parameters/``; ``overrides`` are parameters that replace
        those of the file, ``extra_environment`` variables of every container beyond its
        task definition. ``secrets`` are values of secrets and ``policies`` documents of
        managed policies, by name, that are made before the launch; ``<name>`` in an
        override is the ARN of one. ``dags`` are
        folders of DAG files to put into the bucket before anything reads it.
        ``packages`` are what the image adds to Airflow. ``outside_servers`` stand for
        servers outside the VPC from before the launch to the end. With ``keeps`` the
        folder stays, for its logs; with ``keeps_data`` the database is that of the last
        run that kept it; with ``reloads`` a changed DAG file is seen within seconds.
        ``begun_at`` is when the command began, on the monotonic clock.
        """
        self.project = project
        self.name = name
        self.folder = folder or project / FOLDER
        self.parameters: Mapping[str, str] = {}
        self.seconds: dict[str, float] = {}
        """Phase -> seconds from the beginning of the command to its end."""
        self.peak_mebibytes = 0.0
        self._is_named = folder is not None
        self._overrides = dict(overrides or {})
        self._extra = dict(extra_environment or {})
        self._secrets = dict(secrets or {})
        self._policies = dict(policies or {})
        self._dags = tuple(dags)
        self._packages = packages
        self._outside_servers = tuple(outside_servers)
        self._keeps = keeps
        self._keeps_data = keeps_data
        self._reloads = reloads
        self._begun_at = begun_at
        self._tell = tell
        self._waiting = Waiting()
        self._cleanup = ExitStack()
        self._store_addresses: dict[str, str] = {}
        self._stores: dict[str, tuple[str, int]] = {}

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

        Raises LocalEnvironmentError; whatever was started by then is stopped again.
        """
        if self._begun_at is None:
            self._begun_at = time.monotonic()
        else:
            self._finish_phase("dist/ built")
        try:
            self._bring_up()
        except BaseException as error:
            self.stop()
            if isinstance(error, OSError):
                raise _as_failure(error) from error
            raise

    def stop(self) -> None:
        """Stop everything; nothing is left but, if it is to be kept, the folder."""
        with interrupts.none():
            self._waiting.end()
            self._cleanup.close()

    def _bring_up(self) -> None:
        dist = self._prepare()
        authority = Authority(self.folder / "ca")
        version = airflow_image.airflow_version(self.project)
        airflow_image.check(self.parameters["Image"], version)
        self._image_deviation = airflow_image.deviation(
            self.parameters["Image"], version, self._packages
        )
        image = in_thread(self._image, "image")
        port = free_port()
        self._start_emulator(port)
        self._finish_phase("emulator up")
        self._make_agent(port, authority, image.result())
        self.aws = self._access()
        self._launcher = Launcher(self.aws, dist)
        self._make_named_resources()
        launch = in_thread(lambda: self.launch({}), "launch")
        earlier = self._earlier_data()
        self._start_stores(dist.folder, authority, launch, earlier)
        self._finish_phase("datastores up")
        self.agent.start()
        in_thread(self._measure, "memory")
        self._waiting.until(launch.done, LAUNCH_SECONDS, "the launch of the stack")
        self._conclude(launch.result())
        self._store_addresses[RELAY_URL] = self.url
        # The DAG processor has only been started: it needs seconds before it looks.
        for folder in self._dags:
            self.put_dags(folder)
        self._finish_phase("migration job passed")
        # At once, and not at its next round: two workers may have to be there.
        self.agent.autoscaler.update(time.time())
        self._waiting.until(
            self._is_healthy,
            STEADY_SECONDS,
            "every service to be healthy",
            self._unhealthy,
        )
        self._finish_phase(HEALTHY)
        running = RunningEnvironment(
            self.agent.url,
            REGION,
            self.emulator.account,
            self.url,
            str(self.ca_path),
        ).write(self.folder)
        self._cleanup.callback(running.unlink, missing_ok=True)

    # The pieces, in their order.

    def _prepare(self) -> Dist:
        """Resolve the parameters, and copy ``dist/``, which a build may change."""
        built = Dist.read(self.project / "dist")
        launched = built.environment(self.name)
        own = {**launched.parameters, **OF_AWS, **self._overrides}
        self._launched: Environment = replace(launched, parameters=own)
        self.stack_name = launched.stack_name
        declared = built.templates[PARENT]["Parameters"]
        self.parameters = {
            name: str(parameter.get("Default", ""))
            for name, parameter in declared.items()
        } | own
        self._take_folder()
        copy = self.folder / "dist"
        files = dict(built.files)
        files[MANIFEST] = (built.folder / MANIFEST).read_bytes()
        for path, content in files.items():
            (copy / path).parent.mkdir(parents=True, exist_ok=True)
            (copy / path).write_bytes(content)
        return Dist.read(copy)

    def _take_folder(self) -> None:
        claim = (
            folders.claim_this(self.folder)
            if self._is_named
            else folders.claim(self.project / FOLDER, self.name)
        )
        if claim is None:
            raise LocalEnvironmentError(
                f"{self.folder} is used by another local environment.",
                remedy="Name another folder, or stop that environment.",
            )
        self._cleanup.callback(claim.keep if self._keeps else claim.give_up)
        self.folder = claim.folder.resolve()
        # A crash may have left its emulator running.
        EmulatorProcess(self.project, self.folder / "aws").erase()
        claim.clear()

    def _image(self) -> ContainerImage:
        """Install what is not there yet."""
        installed("datastores", self._tell)
        if self._packages is None:
            return ContainerImage.of_airflow(airflow_environment(self._tell).folder)
        environment = self._packages.install(self.project, self._tell)
        return ContainerImage.of_airflow(environment.folder, environment.added)

    def _start_emulator(self, port: int) -> None:
        self.emulator = EmulatorProcess(
            self.project,
            self.folder / "aws",
            region=REGION,
            migration="real",
            functions_endpoint=f"http://127.0.0.1:{port}",
            tell=self._tell,
        )
        self._cleanup.callback(self.emulator.stop)
        self.emulator.start()

    def _make_agent(
        self, port: int, authority: Authority, image: ContainerImage
    ) -> None:
        name = self.parameters.get("DomainName", "")
        listener = authority.issue("listener", [name] if name else [])
        trusted = {"SSL_CERT_FILE": str(authority.ca_path)}
        self.agent = EcsAgent(
            AgentSettings(
                emulator_url=self.emulator.endpoint_url,
                proxy_port=port,
                folder=self.folder / "a",
                image=image,
                region=REGION,
                account=self.emulator.account,
                extra_environment=trusted
                | (airflow_image.RELOADING if self._reloads else {})
                | self._extra,
                replaced_variables=self._store_addresses,
                stores=self._stores,
                rewritten_variables=airflow_image.REWRITTEN if self._reloads else {},
                files={CERTIFICATES: authority.ca_path, **self._plugins()},
                probe_seconds=PROBE_SECONDS,
                listener_certificate=(listener.certificate_path, listener.key_path),
            )
        )
        self._cleanup.callback(self.agent.stop, STOP_SECONDS)
        for server in self._outside_servers:
            at = server.start(authority)
            self._cleanup.callback(server.stop)
            self.agent.firewall.add_outside_server(server.known_as, at)

    def _plugins(self) -> dict[str, Path]:
        """Copy the plugins, which may change while tasks start; return their places."""
        files = self._packages.image.plugin_files() if self._packages else {}
        copies = {name: self.folder / "plugins" / name for name in files}
        for name, path in files.items():
            copies[name].parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copies[name])
        return {f"{airflow_image.PLUGINS}/{name}": at for name, at in copies.items()}

    def _earlier_data(self) -> KeptData | None:
        if not self._keeps_data:
            return None
        earlier = KeptData(self.project, self.name)
        self._cleanup.callback(earlier.close)
        return earlier

    def _make_named_resources(self) -> None:
        """Create what parameters name; put its ARNs into the parameters."""
        secrets, iam = self.client("secretsmanager"), self.client("iam")
        arns: dict[str, str] = {}
        for name, value in self._secrets.items():
            arns[name] = secrets.create_secret(Name=name, SecretString=value)["ARN"]
        for name, content in self._policies.items():
            document = json.dumps(content)
            policy = iam.create_policy(PolicyName=name, PolicyDocument=document)
            arns[name] = policy["Policy"]["Arn"]
        parameters = dict(self._launched.parameters)
        for name, arn in arns.items():
            parameters = {
                parameter: text.replace(f"<{name}>", arn)
                for parameter, text in parameters.items()
            }
        self._launched = replace(self._launched, parameters=parameters)

    def _start_stores(
        self,
        dist: Path,
        authority: Authority,
        launch: Future[LaunchResult],
        earlier: KeptData | None,
    ) -> None:
        secrets = self.client("secretsmanager")
        most = stores.max_connections(self.parameters)
        master = self._login(secrets, stores.MASTER, launch)
        self.postgres = stores.database(dist, authority, master, most)
        self._cleanup.callback(self.postgres.stop)
        at = self.postgres.start(earlier.database if earlier else self.folder / "db")
        self._stores["database"] = (at.host, at.port)
        for store in ("METADATA", "RESULTS"):
            self._store_addresses[f"{store}_HOST"] = at.host
            self._store_addresses[f"{store}_PORT"] = str(at.port)
        login = self._login(secrets, stores.BROKER, launch)
        self.valkey = stores.broker(dist, authority, login["password"])
        self._cleanup.callback(self.valkey.stop)
        at = self.valkey.start(self.folder / "mq")
        self._stores["cache"] = (at.host, at.port)
        self._store_addresses["BROKER_HOST"] = at.host
        self._store_addresses["BROKER_PORT"] = str(at.port)
        if earlier:
            rotation = self.parameters["FernetKeyRotation"]
            needed = kept_data.secrets(rotation)
            names = {name: self._secret(secrets, name, launch) for name in needed}
            earlier.restore_secrets(secrets, names)

    def _secret(
        self, secrets: Any, logical_id: str, launch: Future[LaunchResult]
    ) -> str:
        def look() -> str | None:
            if launch.done():
                self._conclude(launch.result())
            return stores.secret_name(secrets, f"-{logical_id}-")

        what = f"the stack's secret {logical_id}"
        return self._waiting.until(look, LOGIN_SECONDS, what)

    def _login(
        self, secrets: Any, words: str, launch: Future[LaunchResult]
    ) -> dict[str, str]:
        def look() -> dict[str, str] | None:
            if launch.done():
                self._conclude(launch.result())
            return stores.login(secrets, words)

        return self._waiting.until(look, LOGIN_SECONDS, f"the stack's secret {words}")

    # Progress.

    def _conclude(self, launched: LaunchResult) -> None:
        if not launched.is_good:
            raise LocalEnvironmentError(
                f"The launch of {self.name} failed.",
                launched.text,
                "Correct what the cause names, run make templates, then this again.",
            )

    def _is_healthy(self) -> bool:
        failed = [
            f"{state.service.name}: {state.primary.reason}"
            for state in list(self.agent.registry.services.values())
            if state.primary.rollout is RolloutState.FAILED
        ]
        if failed:
            raise LocalEnvironmentError(
                "A service does not start.",
                "\n".join([*failed, self._unhealthy()]),
                f"Read its log below {self.folder / 'a' / 'logs'}, which --keep keeps.",
            )
        return self.agent.is_steady()

    def _unhealthy(self) -> str:
        """Return the tasks that are not healthy, and the reasons that are known."""
        lines = [
            f"{row.name} {row.task_id[:8]}: {row.status}, {row.health} after "
            f"{row.seconds:.0f} s {row.reason}".rstrip()
            for row in self.agent.task_rows()
            if row.health != "HEALTHY" or row.status != "RUNNING"
        ]
        return "\n".join([*lines, *self.agent.problems, *self.agent.roles.refused])

    def _finish_phase(self, phase: str) -> None:
        self.seconds[phase] = time.monotonic() - (self._begun_at or 0)
        self._tell(f"{self.seconds[phase]:6.1f} s  {phase}")

    def _measure(self) -> None:
        while True:
            self.peak_mebibytes = max(self.peak_mebibytes, self.memory_mebibytes())
            try:
                self._waiting.sleep(MEMORY_SECONDS)
            except EnvironmentStopped:
                return

    # The running environment.

    def rows(self) -> list[TaskRow]:
        """Return how every task is; none before anything runs."""
        return self.agent.task_rows() if "agent" in vars(self) else []

    def deviations(self) -> list[str]:
        """Return the differences from AWS, a sentence each."""
        return [
            self._image_deviation,
            f"Until a container is healthy, its check runs every {PROBE_SECONDS:g} s.",
            "Aurora has no reader and the cache no replica, whatever the parameters.",
            *(
                f"{name} is {value!r}, not the environment's own value."
                for name, value in self._overrides.items()
            ),
            *self.agent.deviations(),
        ]

    def memory_mebibytes(self) -> float:
        """Return the memory of every process of this environment, this one included."""
        emulator = self.emulator.running()
        return memory.mebibytes([os.getpid(), *([emulator.pid] if emulator else [])])

    def launch(self, changes: Mapping[str, str]) -> LaunchResult:
        """Launch the same stack with some parameters changed; follow it to the end.

        The parameters stay changed. Raises Failure when it cannot begin.
        """
        own = {**self._launched.parameters, **changes}
        self._launched = replace(self._launched, parameters=own)
        self.parameters = {**self.parameters, **changes}
        return self._launcher.launch(self._launched, self._waiting.sleep)

    def _access(self) -> Aws:
        return Aws(
            emulator=EmulatorEndpoint(
                endpoint=self.agent.url,
                region=REGION,
                access_key_id=self.emulator.account,
                secret_access_key=SECRET_ACCESS_KEY,
                kinds=self.emulator.resource_kinds,
            )
        )


def _as_failure(error: OSError) -> LocalEnvironmentError:
    return LocalEnvironmentError(
        f"{error.strerror or error}.",
        remedy="Free disk space, or correct the permissions; then run this again.",
        where=str(error.filename or "this machine"),
    )
