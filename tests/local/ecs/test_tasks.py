"""One task at a time: what its containers find, and how they end."""

# ruff: noqa: S108 - paths of the container, each task has its own

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from local.ecs import EcsAgent
from local.ecs.model import (
    ContainerDefinition,
    ContainerHealthCheck,
    LogConfiguration,
    RestartPolicy,
)
from local.ecs.policy import RolePermissions
from local.ecs.task import EcsTask
from tests.local.ecs.fakes import (
    EXECUTION_ROLE,
    FOREVER,
    FakeEmulator,
    free_port,
    run_once,
    script,
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


def ended(task: EcsTask) -> EcsTask:
    until(lambda: task.is_over)
    return task


def log_of(task: EcsTask, name: str = "app") -> str:
    found = task.container(name)
    assert found is not None
    return found.stream.path.read_text()


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_a_one_off_task_ends_with_its_exit_code(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    told = script("import sys; print('broken'); sys.exit(7)")
    task = ended(
        run_once(
            agent, emulator.define(1, ContainerDefinition(name="app", command=told))
        )
    )
    assert task.containers[0].exit_code == 7
    assert task.stop_code == "EssentialContainerExited"
    assert task.stopped_reason == "Essential container in task exited"
    assert log_of(task) == "broken\n"


def test_a_container_finds_its_own_environment_and_nothing_of_the_agents(
    agent: EcsAgent, emulator: FakeEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_THE_AGENT", "must not leak")
    emulator.secrets[f"{STORED}:password::"] = "p$w:/tmp/x"
    told = script("import json, os; print(json.dumps(dict(os.environ)))")
    container = ContainerDefinition(
        name="app",
        command=told,
        environment={"PLAIN": "a", "WHERE": "/tmp/airflow/dag_bundles"},
        secrets={"PASSWORD": f"{STORED}:password::"},
    )
    task = ended(run_once(agent, emulator.define(1, container)))
    found = json.loads(log_of(task))
    assert found["PLAIN"] == "a"
    assert found["PASSWORD"] == emulator.secrets[f"{STORED}:password::"]
    assert found["WHERE"] == str(task.sandbox.folders.root / "tmp/airflow/dag_bundles")
    assert found["AWS_ENDPOINT_URL"] == agent.url
    assert "OF_THE_AGENT" not in found
    assert set(found) == {
        *("PLAIN", "PASSWORD", "WHERE", "PATH", "HOME", "HOSTNAME", "TMPDIR"),
        *("PYTHONPATH", "LOCAL_TASK_ADDRESS", "AWS_ENDPOINT_URL", "AWS_REGION"),
        *("AWS_DEFAULT_REGION", "AWS_EXECUTION_ENV", "ECS_AGENT_URI"),
        *("ECS_CONTAINER_METADATA_URI", "ECS_CONTAINER_METADATA_URI_V4"),
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        # Python's own, where no locale is set.
        *({"LC_CTYPE"} & set(found)),
    }


def test_a_missing_secret_keeps_the_task_from_starting(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    container = ContainerDefinition(
        name="app", command=script("print('never')"), secrets={"PASSWORD": STORED}
    )
    task = ended(run_once(agent, emulator.define(1, container)))
    assert task.stop_code == "TaskFailedToStart"
    assert "ResourceInitializationError: unable to pull secrets" in task.stopped_reason
    assert "PASSWORD" in task.stopped_reason
    assert not task.containers[0].stream.path.exists()


def test_the_execution_role_must_be_allowed_to_read_the_secret_and_its_key(
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
    container = ContainerDefinition(
        name="app", command=script("print(1)"), secrets={"PASSWORD": STORED}
    )
    task = ended(run_once(agent, emulator.define(1, container, roles=True)))
    assert task.stop_code == "TaskFailedToStart"
    assert "kms:Decrypt" in task.stopped_reason
    assert "REFUSED execution kms:Decrypt" in agent.roles.record.read_text()


def test_logs_go_to_the_group_under_prefix_container_and_task(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    told = script("print('one'); print('two', end='')")
    container = ContainerDefinition(
        name="app", command=told, log=LogConfiguration(group="group", prefix="prefix")
    )
    task = ended(run_once(agent, emulator.define(1, container)))
    stream = f"group prefix/app/{task.id}"
    until(lambda: emulator.written[stream] == ["one", "two"])


def test_a_task_stops_by_sigterm_and_is_killed_after_its_stop_timeout(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    container = ContainerDefinition(
        name="app", command=script(STUBBORN), stop_seconds=0.4
    )
    task = run_once(agent, emulator.define(1, container))
    until(lambda: task.status == "RUNNING" and "up" in log_of(task))
    began = time.monotonic()
    task.stop("enough", "UserInitiated")
    ended(task)
    assert time.monotonic() - began >= 0.4
    assert "heard" in log_of(task)
    assert task.containers[0].exit_code == 137
    assert task.stopped_reason == "enough"


def test_a_container_that_obeys_sigterm_is_not_killed(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    told = script(
        "import signal, sys, time\n"
        "def end(*_): print('bye', flush=True); sys.exit(3)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "print('up', flush=True); time.sleep(600)"
    )
    task = run_once(
        agent,
        emulator.define(
            1, ContainerDefinition(name="app", command=told, stop_seconds=60)
        ),
    )
    until(lambda: task.status == "RUNNING" and "up" in log_of(task))
    task.stop("enough", "UserInitiated")
    ended(task)
    assert "bye" in log_of(task)
    assert task.containers[0].exit_code == 3


def test_the_end_of_an_essential_container_ends_the_others(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    side = ContainerDefinition(name="side", command=script(FOREVER), is_essential=False)
    definition = emulator.define(
        1, ContainerDefinition(name="app", command=script("")), side
    )
    task = ended(run_once(agent, definition))
    assert [one.exit_code for one in task.containers] == [0, 143]


def test_the_end_of_another_container_does_not_end_the_task(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    side = ContainerDefinition(name="side", command=script(""), is_essential=False)
    definition = emulator.define(
        1, ContainerDefinition(name="app", command=script(FOREVER)), side
    )
    task = run_once(agent, definition)
    until(lambda: task.containers[1].is_over)
    time.sleep(0.2)
    assert task.status == "RUNNING"
    assert task.should_run


def test_a_container_waits_for_what_it_depends_on(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    first = ContainerDefinition(
        name="first",
        command=script("import time; time.sleep(0.3); print(time.time())"),
        is_essential=False,
    )
    app = ContainerDefinition(
        name="app",
        command=script("import time; print(time.time())"),
        depends_on=(("first", "SUCCESS"),),
    )
    task = ended(run_once(agent, emulator.define(1, app, first)))
    assert float(log_of(task, "first")) < float(log_of(task))


def test_a_dependency_that_fails_fails_the_task(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    first = ContainerDefinition(
        name="first", command=script("import sys; sys.exit(1)"), is_essential=False
    )
    app = ContainerDefinition(
        name="app", command=script("print(1)"), depends_on=(("first", "SUCCESS"),)
    )
    task = ended(run_once(agent, emulator.define(1, app, first)))
    assert task.stop_code == "TaskFailedToStart"
    assert "first" in task.stopped_reason


def test_a_health_check_turns_healthy_and_unhealthy(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    check = ContainerHealthCheck(
        command=("CMD-SHELL", "test -e /tmp/well"), interval=0.1, retries=2
    )
    container = ContainerDefinition(name="app", command=script(FOREVER), health=check)
    task = run_once(agent, emulator.define(1, container))
    until(lambda: task.status == "RUNNING")
    well = task.sandbox.folders.outside("/tmp/well")
    well.touch()
    until(lambda: task.health.value == "HEALTHY")
    well.unlink()
    until(lambda: task.health.value == "UNHEALTHY")
    # Nobody replaces a task that belongs to no service.
    assert task.should_run


def test_failures_in_the_start_period_do_not_count(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    check = ContainerHealthCheck(
        command=("CMD", "false"), interval=0.05, retries=1, start_period=1
    )
    container = ContainerDefinition(name="app", command=script(FOREVER), health=check)
    task = run_once(agent, emulator.define(1, container))
    until(lambda: task.status == "RUNNING")
    time.sleep(0.5)
    assert task.health.value == "UNKNOWN"
    until(lambda: task.health.value == "UNHEALTHY")


def test_a_check_that_hangs_counts_as_failed(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    check = ContainerHealthCheck(
        command=("CMD-SHELL", "sleep 60"), interval=0.05, timeout=0.2, retries=1
    )
    container = ContainerDefinition(name="app", command=script(FOREVER), health=check)
    task = run_once(agent, emulator.define(1, container))
    until(lambda: task.health.value == "UNHEALTHY")


FAMILY = """
import os, subprocess, sys, time
# One in a session of its own, whose parent is gone: what a daemon does.
subprocess.Popen([sys.executable, "-c", '''
import os, subprocess, sys
child = subprocess.Popen(["sleep", "600"], start_new_session=True)
print(child.pid, flush=True)
'''], start_new_session=True).wait()
print(os.getpid(), "up", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("victim", ["main process", "init"])
def test_nothing_outlives_a_container_that_was_killed(
    agent: EcsAgent, emulator: FakeEmulator, victim: str
) -> None:
    task = run_once(
        agent,
        emulator.define(1, ContainerDefinition(name="app", command=script(FAMILY))),
    )
    until(lambda: task.status == "RUNNING" and "up" in log_of(task))
    orphan, main = (int(line.split()[0]) for line in log_of(task).splitlines())
    assert is_alive(orphan)
    time.sleep(0.2)
    processes = task.containers[0].processes
    assert processes is not None
    os.kill(main if victim == "main process" else processes._init.pid, signal.SIGKILL)
    ended(task)
    until(lambda: not is_alive(orphan) and not is_alive(main))
    assert task.containers[0].exit_code == 137


def test_the_agents_end_leaves_no_process(
    emulator: FakeEmulator, agent: EcsAgent
) -> None:
    container = ContainerDefinition(name="app", command=script(FAMILY), stop_seconds=60)
    task = run_once(agent, emulator.define(1, container))
    until(lambda: task.status == "RUNNING" and "up" in log_of(task))
    found = [int(line.split()[0]) for line in log_of(task).splitlines()]
    agent.stop(0.3)
    assert task.is_over
    assert not any(is_alive(pid) for pid in found)
    # The fixture stops it once more; that must do no harm.
    agent._threads.clear()


def test_two_tasks_listen_on_the_same_port(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    # Two API servers of one stack, both on one port of "every address", and in both
    # families as Airflow's log server does.
    port = free_port()
    told = script(
        "import socket\n"
        f"s = socket.create_server(('0.0.0.0', {port})); print(socket.gethostname())\n"
        f"t = socket.create_server(('', {port}), family=socket.AF_INET6)\n"
        "print(socket.gethostbyname(socket.gethostname()), flush=True)\n"
        "while True: s.accept()[0].close()"
    )
    definition = emulator.define(
        1, ContainerDefinition(name="app", command=told, ports={"web": port})
    )
    both = [run_once(agent, definition) for _ in range(2)]
    for task in both:
        until(
            lambda task=task: task.status == "RUNNING" and log_of(task).count("\n") == 2  # type: ignore[misc]
        )
        assert set(log_of(task).split()) == {task.sandbox.address}
    assert both[0].sandbox.address != both[1].sandbox.address


def test_a_port_that_another_program_holds_is_replaced_by_another(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    # Something of the developer's own listens on 8080 of every address.
    with socket.create_server(("", 0)) as other:
        port = other.getsockname()[1]
        told = script(
            "import socket, time\n"
            f"s = socket.create_server(('', {port}))\n"
            "c = socket.create_connection((socket.gethostname(), PORT))\n"
            "print(s.accept()[0].getsockname()[0], flush=True)\n"
            "time.sleep(600)".replace("PORT", str(port))
        )
        shell = f"curl -s telnet://localhost:{port} -m 1 </dev/null; test $? != 7"
        container = ContainerDefinition(
            name="app",
            command=told,
            ports={"web": port},
            health=ContainerHealthCheck(command=("CMD-SHELL", shell), interval=0.1),
        )
        task = run_once(agent, emulator.define(1, container))
        until(lambda: task.health.value == "HEALTHY")
        assert log_of(task).strip() == task.sandbox.address
        assert task.sandbox.port(port) != port


def test_a_stand_in_is_named_only_where_the_variable_is_declared(
    emulator: FakeEmulator, tmp_path: Path
) -> None:
    # A worker must not learn of the metadata database by way of the rehearsal.
    told = script("import json, os; print(json.dumps(dict(os.environ)))")
    names = {"METADATA_HOST": "127.0.0.1", "BROKER_HOST": "127.0.0.1"}
    changed = settings(tmp_path, replaced_variables=names)
    container = ContainerDefinition(
        name="app", command=told, environment={"BROKER_HOST": "far"}
    )
    with EcsAgent(changed, emulator=emulator) as agent:
        task = ended(run_once(agent, emulator.define(1, container)))
    found = json.loads(log_of(task))
    assert found["BROKER_HOST"] == "127.0.0.1"
    assert "METADATA_HOST" not in found


def test_a_file_of_the_rehearsals_lies_where_the_container_looks(
    emulator: FakeEmulator, tmp_path: Path
) -> None:
    authority = tmp_path / "ca.pem"
    authority.write_text("ours")
    changed = settings(tmp_path / "agent", files={"/tmp/rds-ca.pem": authority})
    told = ("cat", "/tmp/rds-ca.pem")
    with EcsAgent(changed, emulator=emulator) as agent:
        task = ended(
            run_once(
                agent, emulator.define(1, ContainerDefinition(name="app", command=told))
            )
        )
    assert log_of(task) == "ours"


def test_agents_beside_each_other_share_neither_address_nor_task(
    emulator: FakeEmulator, tmp_path: Path
) -> None:
    port = free_port()
    told = script(
        "import socket\n"
        f"s = socket.create_server(('', {port})); print('up', flush=True)\n"
        "while True: s.accept()[0].close()"
    )
    definition = emulator.define(
        1, ContainerDefinition(name="app", command=told, ports={"web": port})
    )
    with (
        EcsAgent(settings(tmp_path / "1"), emulator=emulator) as one,
        EcsAgent(settings(tmp_path / "2"), emulator=emulator) as other,
    ):
        both = [run_once(agent, definition) for agent in (one, other)]
        for task in both:
            until(lambda task=task: task.status == "RUNNING" and "up" in log_of(task))  # type: ignore[misc]
        assert both[0].sandbox.block != both[1].sandbox.block
        assert len(one.tasks) == len(other.tasks) == 1


def test_a_killed_agent_takes_its_tasks_along(tmp_path: Path) -> None:
    told = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from local.ecs import EcsAgent\n"
        "from local.ecs.model import ContainerDefinition\n"
        "from tests.local.ecs import fakes\n"
        "emulator = fakes.FakeEmulator()\n"
        "agent = EcsAgent(fakes.settings(Path(sys.argv[1])), emulator=emulator)\n"
        "agent.start()\n"
        "command = fakes.script(fakes.FOREVER)\n"
        "definition = emulator.define(1, ContainerDefinition(name='app', command=command))\n"
        "task = fakes.run_once(agent, definition)\n"
        "fakes.until(lambda: task.status == 'RUNNING')\n"
        "processes = task.containers[0].processes\n"
        "print(fakes.until(lambda: processes.main), flush=True)\n"
        "time.sleep(600)"
    )
    agent = subprocess.Popen(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", told, str(tmp_path)],
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


BRIEF = script(
    "import os, time\n"
    "print('begun', flush=True)\n"
    "with open('/tmp/starts', 'a') as starts: starts.write('x')\n"
    "time.sleep(0.6 if os.path.getsize('/tmp/starts') < 3 else 600)"
)
"""Ends twice, then stays."""


def begun(task: EcsTask) -> int:
    """Return how often the second container began."""
    path = task.containers[1].stream.path
    return path.read_text().count("begun") if path.exists() else 0


def beside(
    container: ContainerDefinition,
) -> tuple[ContainerDefinition, ContainerDefinition]:
    return ContainerDefinition(name="main", command=script(FOREVER)), container


@pytest.mark.parametrize("is_essential", [True, False])
def test_a_container_with_a_restart_policy_begins_anew_when_it_ran_long_enough(
    agent: EcsAgent, emulator: FakeEmulator, *, is_essential: bool
) -> None:
    emulator.secrets[STORED] = "x"
    container = ContainerDefinition(
        name="autoscaler",
        command=BRIEF,
        is_essential=is_essential,
        restart=RestartPolicy(least_seconds=0.1),
        secrets={"PASSWORD": STORED},
    )
    task = run_once(agent, emulator.define(1, *beside(container)))
    until(lambda: begun(task))
    # ECS reads secrets when a task starts, and at no restart.
    emulator.secrets.clear()
    until(lambda: begun(task) == 3)
    found = task.container("autoscaler")
    assert found is not None
    assert found.restarts == 2
    assert task.should_run
    until(lambda: time.time() - found.started > 0.5)
    task.stop("enough", "UserInitiated")
    ended(task)
    assert found.exit_code == 143


def test_one_that_ended_too_early_stays_down_and_leaves_its_task_alone(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    container = ContainerDefinition(
        name="autoscaler", command=BRIEF, is_essential=False, restart=RestartPolicy()
    )
    task = run_once(agent, emulator.define(1, *beside(container)))
    found = task.container("autoscaler")
    assert found is not None
    until(lambda: found.is_over)
    time.sleep(0.3)
    assert log_of(task, "autoscaler") == "begun\n"
    assert task.status == "RUNNING"


def test_an_exit_code_to_be_ignored_is_no_reason_to_begin_anew(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    container = ContainerDefinition(
        name="autoscaler",
        command=script("import sys, time; time.sleep(0.3); sys.exit(3)"),
        is_essential=False,
        restart=RestartPolicy(least_seconds=0, ignored=frozenset({3})),
    )
    task = run_once(agent, emulator.define(1, *beside(container)))
    found = task.container("autoscaler")
    assert found is not None
    until(lambda: found.is_over)
    assert found.exit_code == 3


def test_a_rehearsal_may_shorten_the_time_and_says_so(
    emulator: FakeEmulator, tmp_path: Path
) -> None:
    container = ContainerDefinition(
        name="autoscaler", command=BRIEF, is_essential=False, restart=RestartPolicy()
    )
    with EcsAgent(settings(tmp_path, restart_seconds=0.2), emulator=emulator) as agent:
        task = run_once(agent, emulator.define(1, *beside(container)))
        until(lambda: begun(task) > 1)
        assert any("ran 0.2 s is restarted" in told for told in agent.deviations())


def test_a_restart_policy_is_read_as_ecs_describes_it() -> None:
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
