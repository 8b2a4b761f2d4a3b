"""Tasks: environment, logs, dependencies, health and the end of containers."""

# ruff: noqa: S108 - paths of the container, each task has its own

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from local.ecs import EcsAgent
from local.ecs.health import HealthChecker
from local.ecs.model import (
    ContainerDefinition,
    ContainerHealthCheck,
    LogConfiguration,
    RestartPolicy,
)
from local.ecs.task import EcsTask, TaskContainer
from local.iam.policy import RolePermissions
from tests.local.ecs.fakes import (
    EXECUTION_ROLE,
    FakeEmulator,
    app,
    ended,
    free_port,
    is_up,
    log_of,
    run,
    run_again,
    settings,
    until,
)

pytestmark = pytest.mark.slow

STORED = "arn:aws:secretsmanager:eu-central-1:000000000000:secret:own-AbCdEf"
STUBBORN = (
    "import signal, time\n"
    "signal.signal(signal.SIGTERM, lambda *_: print('heard', flush=True))\n"
    "print('up', flush=True)\n"
    "while True: time.sleep(0.05)"
)


def drive(agent: EcsAgent, task: EcsTask) -> None:
    """Take the steps that are due, several times."""
    with agent.lock:
        for _ in range(5):
            task.step(agent.host)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_a_one_off_task_ends_with_its_exit_code(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    command = "import sys; print('broken'); sys.exit(7)"
    task = ended(run(agent, emulator, app(command)))
    assert task.containers[0].exit_code == 7
    assert task.stop_code == "EssentialContainerExited"
    assert task.stopped_reason == "Essential container in task exited"
    assert log_of(task) == "broken\n"


def test_environment_of_a_container_has_nothing_of_the_agents(
    agent: EcsAgent, emulator: FakeEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_THE_AGENT", "must not leak")
    emulator.secrets[f"{STORED}:password::"] = "p$w:/tmp/x"
    command = "import json, os; print(json.dumps(dict(os.environ)))"
    container = app(
        command,
        environment={"PLAIN": "a", "WHERE": "/tmp/airflow/dag_bundles"},
        secrets={"PASSWORD": f"{STORED}:password::"},
    )
    task = ended(run(agent, emulator, container))
    environment = json.loads(log_of(task))
    assert environment["PLAIN"] == "a"
    assert environment["PASSWORD"] == emulator.secrets[f"{STORED}:password::"]
    assert environment["WHERE"] == str(
        task.sandbox.folders.root / "tmp/airflow/dag_bundles"
    )
    assert environment["AWS_ENDPOINT_URL"] == agent.url
    assert "OF_THE_AGENT" not in environment
    assert set(environment) == {
        *("PLAIN", "PASSWORD", "WHERE", "PATH", "HOME", "HOSTNAME", "TMPDIR"),
        *("PYTHONPATH", "LOCAL_TASK_ADDRESS", "AWS_ENDPOINT_URL", "AWS_REGION"),
        *("AWS_DEFAULT_REGION", "AWS_EXECUTION_ENV", "ECS_AGENT_URI"),
        *("ECS_CONTAINER_METADATA_URI", "ECS_CONTAINER_METADATA_URI_V4"),
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        # Python's own, where no locale is set.
        *({"LC_CTYPE"} & set(environment)),
    }


def test_missing_secret_prevents_the_start(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    container = app("print('never')", secrets={"PASSWORD": STORED})
    task = ended(run(agent, emulator, container))
    assert task.stop_code == "TaskFailedToStart"
    assert "ResourceInitializationError: unable to pull secrets" in task.stopped_reason
    assert "PASSWORD" in task.stopped_reason
    assert not task.containers[0].stream.path.exists()


def test_secrets_need_the_execution_roles_right_to_secret_and_key(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    # A role with the secret but without the key looks right until the first start.
    emulator.secrets[STORED] = "x"
    emulator.keys[STORED] = "arn:aws:kms:eu-central-1:000000000000:key/1"
    read = {
        "Effect": "Allow",
        "Action": "secretsmanager:GetSecretValue",
        "Resource": STORED,
    }
    emulator.roles[EXECUTION_ROLE] = RolePermissions((read,))
    container = app("print(1)", secrets={"PASSWORD": STORED})
    task = ended(run(agent, emulator, container, roles=True))
    assert task.stop_code == "TaskFailedToStart"
    assert "kms:Decrypt" in task.stopped_reason
    assert "REFUSED execution kms:Decrypt" in agent.roles.record.read_text()


def test_logs_go_to_a_stream_named_by_prefix_container_and_task(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    command = "print('one'); print('two', end='')"
    container = app(command, log=LogConfiguration(group="group", prefix="prefix"))
    task = ended(run(agent, emulator, container))
    stream = f"group prefix/app/{task.id}"
    until(lambda: emulator.written[stream] == ["one", "two"])


def test_stop_sends_sigterm_and_kills_after_the_stop_timeout(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    container = app(STUBBORN, stop_seconds=0.4)
    task = run(agent, emulator, container)
    until(lambda: is_up(task))
    began = time.monotonic()
    task.stop("enough", "UserInitiated")
    ended(task)
    assert time.monotonic() - began >= 0.4
    assert "heard" in log_of(task)
    assert task.containers[0].exit_code == 137
    assert task.stopped_reason == "enough"


def test_container_that_ends_on_sigterm_is_not_killed(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    command = (
        "import signal, sys, time\n"
        "def end(*_): print('bye', flush=True); sys.exit(3)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "print('up', flush=True); time.sleep(600)"
    )
    task = run(agent, emulator, app(command, stop_seconds=60))
    until(lambda: is_up(task))
    task.stop("enough", "UserInitiated")
    ended(task)
    assert "bye" in log_of(task)
    assert task.containers[0].exit_code == 3


def test_essential_containers_end_ends_the_task(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    side = app(name="side", is_essential=False)
    task = ended(run(agent, emulator, app(""), side))
    assert [container.exit_code for container in task.containers] == [0, 143]


def test_other_containers_end_does_not_end_the_task(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    side = app("", name="side", is_essential=False)
    task = run(agent, emulator, app(), side)
    until(lambda: task.containers[1].is_over)
    drive(agent, task)
    assert task.status == "RUNNING"
    assert task.should_run


def test_dependent_container_starts_after_its_dependency(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    first = app(
        "import time; time.sleep(0.1); print(time.time())",
        name="first",
        is_essential=False,
    )
    second = app("import time; print(time.time())", depends_on=(("first", "SUCCESS"),))
    task = ended(run(agent, emulator, second, first))
    assert float(log_of(task, "first")) < float(log_of(task))


def test_failed_dependency_fails_the_task(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    first = app("import sys; sys.exit(1)", name="first", is_essential=False)
    second = app("print(1)", depends_on=(("first", "SUCCESS"),))
    task = ended(run(agent, emulator, second, first))
    assert task.stop_code == "TaskFailedToStart"
    assert "first" in task.stopped_reason


def test_health_follows_the_health_check(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    check = ContainerHealthCheck(
        command=("CMD-SHELL", "test -e /tmp/well"), interval=0.1, retries=2
    )
    container = app(health=check)
    task = run(agent, emulator, container)
    until(lambda: task.status == "RUNNING")
    well = task.sandbox.folders.outside("/tmp/well")
    well.touch()
    until(lambda: task.health.value == "HEALTHY")
    well.unlink()
    until(lambda: task.health.value == "UNHEALTHY")
    # A task of no service is not replaced.
    assert task.should_run


def test_health_check_failures_in_the_start_period_do_not_count(tmp_path: Path) -> None:
    check = ContainerHealthCheck(command=("CMD", "false"), retries=1, start_period=60)
    checker = HealthChecker(
        check,
        ["/bin/false"],
        environment={},
        folder=tmp_path,
        started=0,
        probe_seconds=None,
    )
    for now, health in ((30, "UNKNOWN"), (60, "UNHEALTHY")):
        checker.step(now)
        assert checker._process
        checker._process.wait()
        checker.step(now)
        assert checker.health.value == health


def test_health_check_that_hangs_counts_as_failed(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    check = ContainerHealthCheck(
        command=("CMD-SHELL", "sleep 60"), interval=0.05, timeout=0.2, retries=1
    )
    container = app(health=check)
    task = run(agent, emulator, container)
    until(lambda: task.health.value == "UNHEALTHY")


FAMILY = """
import os, subprocess, sys, time
# A process in its own session, whose parent is gone, like a daemon.
subprocess.Popen([sys.executable, "-c", '''
import os, subprocess, sys
child = subprocess.Popen(["sleep", "600"], start_new_session=True)
print(child.pid, flush=True)
'''], start_new_session=True).wait()
print(os.getpid(), "up", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("victim", ["main process", "init"])
def test_killed_container_leaves_no_process(
    agent: EcsAgent, emulator: FakeEmulator, victim: str
) -> None:
    task = run(agent, emulator, app(FAMILY))
    until(lambda: is_up(task))
    orphan, main = (int(line.split()[0]) for line in log_of(task).splitlines())
    assert is_alive(orphan)
    processes = task.containers[0].processes
    assert processes is not None
    until(lambda: orphan in processes._known)
    os.kill(main if victim == "main process" else processes._init.pid, signal.SIGKILL)
    ended(task)
    until(lambda: not is_alive(orphan) and not is_alive(main))
    assert task.containers[0].exit_code == 137


def test_stopped_agent_leaves_no_process(
    emulator: FakeEmulator, agent: EcsAgent
) -> None:
    container = app(FAMILY, stop_seconds=60)
    task = run(agent, emulator, container)
    until(lambda: is_up(task))
    pids = [int(line.split()[0]) for line in log_of(task).splitlines()]
    agent.stop(0.3)
    assert task.is_over
    assert not any(is_alive(pid) for pid in pids)
    # The fixture stops the agent again, which has no effect.
    agent._threads.clear()


def has_lines(task: EcsTask, count: int) -> bool:
    return log_of(task).count("\n") == count


def test_port_is_shared_by_two_tasks(agent: EcsAgent, emulator: FakeEmulator) -> None:
    # Two API servers of one stack, both on one port of "every address", and in both
    # families as Airflow's log server does.
    port = free_port()
    command = (
        "import socket\n"
        f"s = socket.create_server(('0.0.0.0', {port})); print(socket.gethostname())\n"
        f"t = socket.create_server(('', {port}), family=socket.AF_INET6)\n"
        "print(socket.gethostbyname(socket.gethostname()), flush=True)\n"
        "while True: s.accept()[0].close()"
    )
    definition = emulator.define(1, app(command, ports={"web": port}))
    both = [run_again(agent, definition) for _ in range(2)]
    for task in both:
        until(partial(has_lines, task, 2))
        assert set(log_of(task).split()) == {task.sandbox.address}
    assert both[0].sandbox.address != both[1].sandbox.address


def test_port_of_another_program_is_replaced(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    # For example, a developer's server on port 8080 of every address.
    with socket.create_server(("", 0)) as other:
        port = other.getsockname()[1]
        command = (
            "import socket, time\n"
            f"s = socket.create_server(('', {port}))\n"
            "c = socket.create_connection((socket.gethostname(), PORT))\n"
            "print(s.accept()[0].getsockname()[0], flush=True)\n"
            "time.sleep(600)".replace("PORT", str(port))
        )
        shell = f"curl -s telnet://localhost:{port} -m 1 </dev/null; test $? != 7"
        container = app(
            command,
            ports={"web": port},
            health=ContainerHealthCheck(command=("CMD-SHELL", shell), interval=0.1),
        )
        task = run(agent, emulator, container)
        until(lambda: task.health.value == "HEALTHY")
        assert log_of(task).strip() == task.sandbox.address
        assert task.sandbox.port(port) != port


def test_replaced_variables_reach_only_containers_that_declare_them(
    emulator: FakeEmulator, tmp_path: Path
) -> None:
    # Otherwise a worker would get the address of the metadata database.
    command = "import json, os; print(json.dumps(dict(os.environ)))"
    names = {"METADATA_HOST": "127.0.0.1", "BROKER_HOST": "127.0.0.1"}
    changed = settings(tmp_path, replaced_variables=names)
    container = app(command, environment={"BROKER_HOST": "far"})
    with EcsAgent(changed, emulator=emulator) as agent:
        task = ended(run(agent, emulator, container))
    environment = json.loads(log_of(task))
    assert environment["BROKER_HOST"] == "127.0.0.1"
    assert "METADATA_HOST" not in environment


def test_files_are_copied_to_their_path_in_the_container(
    emulator: FakeEmulator, tmp_path: Path
) -> None:
    authority = tmp_path / "ca.pem"
    authority.write_text("local")
    changed = settings(tmp_path / "agent", files={"/tmp/rds-ca.pem": authority})
    command = ("cat", "/tmp/rds-ca.pem")
    with EcsAgent(changed, emulator=emulator) as agent:
        task = ended(run(agent, emulator, app(command)))
    assert log_of(task) == "local"


def test_agents_share_neither_addresses_nor_tasks(
    emulator: FakeEmulator, tmp_path: Path
) -> None:
    port = free_port()
    command = (
        "import socket\n"
        f"s = socket.create_server(('', {port})); print('up', flush=True)\n"
        "while True: s.accept()[0].close()"
    )
    definition = emulator.define(1, app(command, ports={"web": port}))
    with (
        EcsAgent(settings(tmp_path / "1"), emulator=emulator) as first,
        EcsAgent(settings(tmp_path / "2"), emulator=emulator) as other,
    ):
        both = [run_again(agent, definition) for agent in (first, other)]
        for task in both:
            until(partial(is_up, task))
        assert both[0].sandbox.block != both[1].sandbox.block
        assert len(first.tasks) == len(other.tasks) == 1


def test_killed_agents_tasks_end(tmp_path: Path) -> None:
    command = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from local.ecs import EcsAgent\n"
        "from tests.local.ecs import fakes\n"
        "emulator = fakes.FakeEmulator()\n"
        "agent = EcsAgent(fakes.settings(Path(sys.argv[1])), emulator=emulator)\n"
        "agent.start()\n"
        "task = fakes.run(agent, emulator, fakes.app())\n"
        "fakes.until(lambda: task.status == 'RUNNING')\n"
        "processes = task.containers[0].processes\n"
        "print(fakes.until(lambda: processes.main), flush=True)\n"
        "time.sleep(600)"
    )
    agent = subprocess.Popen(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", command, str(tmp_path)],
        cwd=Path(__file__).parents[3],
        stdout=subprocess.PIPE,
        text=True,
    )
    with agent:
        assert agent.stdout is not None
        pid = int(agent.stdout.readline())
        assert is_alive(pid)
        agent.kill()
    until(lambda: not is_alive(pid))


BRIEF = (
    "import os, time\n"
    "print('begun', flush=True)\n"
    "with open('/tmp/starts', 'a') as starts: starts.write('x')\n"
    "time.sleep(0.25 if os.path.getsize('/tmp/starts') < 3 else 600)"
)
"""Ends twice, then stays."""


def begun(task: EcsTask) -> int:
    """Return how often the autoscaler container began."""
    return log_of(task, "autoscaler").count("begun")


def autoscaler_of(task: EcsTask) -> TaskContainer:
    container = task.container("autoscaler")
    assert container is not None
    return container


def run_beside(
    agent: EcsAgent, emulator: FakeEmulator, container: ContainerDefinition
) -> EcsTask:
    """Run a container beside one that never ends."""
    return run(agent, emulator, app(name="main"), container)


@pytest.mark.parametrize("is_essential", [True, False])
def test_restart_policy_restarts_a_container_that_ran_long_enough(
    agent: EcsAgent, emulator: FakeEmulator, *, is_essential: bool
) -> None:
    emulator.secrets[STORED] = "x"
    definition = app(
        BRIEF,
        name="autoscaler",
        is_essential=is_essential,
        restart=RestartPolicy(least_seconds=0.1),
        secrets={"PASSWORD": STORED},
    )
    task = run_beside(agent, emulator, definition)
    until(lambda: begun(task))
    # ECS reads secrets when a task starts, and at no restart.
    emulator.secrets.clear()
    until(lambda: begun(task) == 3)
    container = autoscaler_of(task)
    assert container.restarts == 2
    assert task.should_run
    task.stop("enough", "UserInitiated")
    ended(task)
    assert container.exit_code == 143


def test_restart_policy_does_not_restart_a_container_that_ended_early(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    definition = app(
        BRIEF, name="autoscaler", is_essential=False, restart=RestartPolicy()
    )
    task = run_beside(agent, emulator, definition)
    container = autoscaler_of(task)
    until(lambda: container.is_over)
    drive(agent, task)
    assert log_of(task, "autoscaler") == "begun\n"
    assert task.status == "RUNNING"


def test_restart_policy_does_not_restart_after_an_ignored_exit_code(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    definition = app(
        "import sys; sys.exit(3)",
        name="autoscaler",
        is_essential=False,
        restart=RestartPolicy(least_seconds=0, ignored=frozenset({3})),
    )
    task = run_beside(agent, emulator, definition)
    container = autoscaler_of(task)
    until(lambda: container.is_over)
    assert container.exit_code == 3


def test_restart_period_may_be_shortened_and_is_reported(
    emulator: FakeEmulator, tmp_path: Path
) -> None:
    definition = app(
        BRIEF, name="autoscaler", is_essential=False, restart=RestartPolicy()
    )
    with EcsAgent(settings(tmp_path, restart_seconds=0.2), emulator=emulator) as agent:
        task = run_beside(agent, emulator, definition)
        until(lambda: begun(task) > 1)
        assert any("ran 0.2 s is restarted" in text for text in agent.deviations())


def test_restart_policy_is_parsed() -> None:
    described = {
        "name": "autoscaler",
        "restartPolicy": {
            "enabled": True,
            "restartAttemptPeriod": 60,
            "ignoredExitCodes": [0],
        },
    }
    assert ContainerDefinition.of(described).restart == RestartPolicy(
        least_seconds=60, ignored=frozenset({0})
    )
    described["restartPolicy"] = {"enabled": False}
    assert ContainerDefinition.of(described).restart is None
    assert ContainerDefinition.of({"name": "autoscaler"}).restart is None
