"""A real worker: when it takes tasks, how it drains, what goes wrong meanwhile."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from fargate_runtime.contract import PROTECTION_MARGIN_MINUTES
from fargate_runtime.scaling_protocol import (
    DRAIN,
    REVIVE,
    STATE,
    WorkerReport,
    WorkerState,
)
from templates.airflow.environment import VISIBILITY_SECONDS
from tests.fargate_runtime.celery_worker.bench import TRANSPORT_OPTIONS, Bench, until

pytestmark = pytest.mark.slow


def is_alive(pid: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def test_worker_takes_tasks_only_once_it_is_protected(bench: Bench) -> None:
    bench.ecs.desired = 0
    bench.send(("early", 0))
    worker = bench.worker()
    worker.wait_for("waiting")
    worker.wait_for_log("DEPLOYMENT_BLOCKED")
    until(lambda: len(worker.ecs_task.requests) > 2, "further requests")
    assert bench.left() == (1, 0)
    assert not worker.ecs_task.is_protected

    bench.ecs.desired = 1
    bench.wait_for_runs("ended", 1)
    report = WorkerReport.parse(worker.control(STATE))
    assert report.state is WorkerState.READY
    assert report.pool == "default"
    assert report.task == worker.name
    assert report.created == pytest.approx(1795464000.1, abs=0.1)
    assert worker.ecs_task.is_protected
    assert worker.ecs_task.requests[-1] == {
        "ProtectionEnabled": True,
        "ExpiresInMinutes": 20 + PROTECTION_MARGIN_MINUTES,
    }


def test_workers_without_ecs_accept_tasks(bench: Bench) -> None:
    bench.send(("task", 0))
    worker = bench.worker(has_ecs=False)
    bench.wait_for_runs("ended", 1)
    assert worker.said("running without protection")
    worker.control(DRAIN)
    worker.wait_for("released")


def test_drained_workers_finish_their_tasks_and_accept_no_others(
    bench: Bench,
) -> None:
    worker = bench.worker()
    worker.wait_for("ready")
    bench.send(*((f"task{number}", 120) for number in range(6)))
    bench.wait_for_runs("started", 2)
    # It holds no more than it runs: what waits, any other worker can take.
    assert bench.left() == (4, 2)
    assert WorkerReport.parse(worker.control(DRAIN)).state is WorkerState.DRAINING
    assert WorkerReport.parse(worker.control(STATE)).running == 2
    first, second = bench.runs("started")
    bench.end(first)
    bench.wait_for_runs("ended", 1)
    assert worker.ecs_task.is_protected
    bench.end(second)

    worker.wait_for("released")
    requests = len(worker.ecs_task.requests)
    assert not worker.ecs_task.is_protected
    assert "protection already released" in worker.control(REVIVE)["error"]
    bench.client.ask("consume_from", bench.queue, worker.node)
    worker.wait_for_log("Started consuming from")
    bench.settle()
    assert bench.runs("started").total() == 2
    assert bench.left() == (4, 0)
    # It stays until ECS stops it, and answers.
    assert worker.control("ping") == {"ok": "pong"}
    assert len(worker.ecs_task.requests) == requests


def test_draining_workers_can_be_revived(bench: Bench) -> None:
    worker = bench.worker()
    worker.wait_for("ready")
    names = [f"task{number}" for number in range(3)]
    bench.send(*((name, 120) for name in names))
    bench.wait_for_runs("started", 2)
    worker.control(DRAIN)
    assert WorkerReport.parse(worker.control(REVIVE)).state is WorkerState.READY
    bench.end(*names)
    bench.wait_for_runs("ended", 3)
    assert bench.runs("ended").total() == 3


def test_draining_under_load_loses_no_task_and_runs_none_twice(bench: Bench) -> None:
    first, second = bench.worker(concurrency=4), bench.worker(concurrency=4)
    first.wait_for("ready")
    second.wait_for("ready")
    bench.send(*((f"task{number}", 0.02) for number in range(400)))
    bench.wait_for_runs("started", 20)
    # Each time, a message may be on its way to the worker that stops reading.
    for _ in range(10):
        first.control(DRAIN)
        first.control(REVIVE)
    first.control(DRAIN)
    first.wait_for("released")
    bench.wait_for_runs("ended", 400)
    until(lambda: bench.left() == (0, 0), "all acknowledgements")
    assert set(bench.runs("started").values()) == {1}
    assert len(bench.runs("ended")) == 400


@pytest.mark.parametrize("state", ["draining", "released"])
def test_drained_workers_accept_nothing_after_a_reconnection(
    bench: Bench, state: str
) -> None:
    worker = bench.worker()
    worker.wait_for("ready")
    bench.send(("long", 120 if state == "draining" else 0))
    bench.wait_for_runs("started", 1)
    worker.control(DRAIN)
    worker.wait_for(state)

    bench.valkey.stop()
    worker.wait_for_log("Cannot connect to")
    bench.valkey.restart()
    until(lambda: worker.control("ping", 1), "the worker to be back")
    bench.send(("new", 0))
    # kombu may have put the message of the long task back; another worker that took
    # it would be told by Airflow that it runs already.
    bench.settle()
    assert bench.left()[0] >= 1
    assert bench.runs("started").total() == 1
    assert worker.state() == state
    if state == "released":
        return
    # Celery has forgotten its messages; the task runs all the same.
    assert not bench.runs("ended")
    assert WorkerReport.parse(worker.control(STATE)).running == 1
    assert worker.ecs_task.is_protected
    bench.end("long")
    bench.wait_for_runs("ended", 1)
    worker.wait_for("released")


def test_ready_workers_continue_after_a_reconnection(bench: Bench) -> None:
    worker = bench.worker()
    worker.wait_for("ready")
    bench.valkey.kill()
    worker.wait_for_log("Cannot connect to")
    bench.valkey.restart()
    bench.send(("task", 0))
    bench.wait_for_runs("ended", 1)
    assert worker.state() == "ready"


def test_after_a_reconnection_a_free_process_gets_the_next_task(bench: Bench) -> None:
    # Celery 5.6.3 by itself hands it to the busy one, where it waits (celery #10346).
    worker = bench.worker()
    worker.wait_for("ready")
    bench.send(("long", 120))
    bench.wait_for_runs("started", 1)
    bench.valkey.stop()
    worker.wait_for_log("Cannot connect to")
    bench.valkey.restart()
    until(lambda: worker.control("ping", 1), "the worker to be back")
    bench.send(("new", 0))
    bench.wait_for_runs("ended", 1)
    assert bench.runs("ended") == {"new": 1}


def test_protection_is_requested_while_the_broker_is_unavailable(bench: Bench) -> None:
    bench.ecs.desired = 0
    worker = bench.worker()
    worker.wait_for("waiting")
    bench.valkey.stop()
    try:
        worker.wait_for_log("Cannot connect to")
        bench.ecs.desired = 1
        until(lambda: worker.ecs_task.is_protected, "the protection")
    finally:
        bench.valkey.restart()


@pytest.mark.parametrize(("setsid", "survivors"), [("0", 2), ("1", 0)])
@pytest.mark.parametrize("task", ["hold", "supervised"])
def test_only_a_signal_to_the_main_process_lets_tasks_finish(
    bench: Bench, task: str, setsid: str, survivors: int
) -> None:
    # With the image's default every process gets it: the test can see a killed task.
    # Airflow's supervisor would hand it on to the task, which has its own group.
    worker = bench.worker(environment={"DUMB_INIT_SETSID": setsid})
    worker.wait_for("ready")
    bench.send(("long", 120), ("second", 120), task=task)
    bench.wait_for_runs("started", 2)
    bench.send(("third", 0))
    pids = worker.pids()
    worker.signal(signal.SIGTERM)
    if survivors:
        worker.wait_for_log("Warm shutdown")
        bench.end("long", "second")
    until(lambda: not worker.process.is_running, "the worker to end")
    # Here nothing kills what a container's end would.
    until(lambda: not any(map(is_alive, pids)), "all its processes to end")
    assert bench.runs("ended").total() == survivors
    assert bench.runs("started")["third"] == 0


@pytest.mark.parametrize(("seconds", "runs"), [(3, 2), (VISIBILITY_SECONDS, 1)])
def test_running_task_is_not_delivered_again(
    bench: Bench, seconds: int, runs: int
) -> None:
    # A timeout below the task's time shows the effect; the template's is above the
    # longest task that it allows.
    options = json.dumps(TRANSPORT_OPTIONS | {"visibility_timeout": seconds})
    first = bench.worker(environment={"TRANSPORT_OPTIONS": options})
    first.wait_for("ready")
    bench.send(("long", 120))
    bench.wait_for_runs("started", 1)
    time.sleep(4)
    # A worker that comes up puts back at once what was taken too long ago.
    second = bench.worker(environment={"TRANSPORT_OPTIONS": options})
    second.wait_for("ready")
    bench.wait_for_runs("started", runs)
    bench.end("long")
    until(lambda: bench.left() == (0, 0), "both workers to be done")
    assert bench.runs("started")["long"] == runs


def test_deployment_ends_when_old_workers_are_drained(bench: Bench) -> None:
    bench.ecs.desired = 1
    old = bench.worker()
    old.wait_for("ready")
    bench.send(("long", 120))
    bench.wait_for_runs("started", 1)
    new = bench.worker()
    new.wait_for_log("DEPLOYMENT_BLOCKED")
    old.control(DRAIN)
    bench.send(("late", 0))
    bench.settle()
    assert bench.runs("started") == {"long": 1}
    bench.end("long")
    new.wait_for("ready")
    assert old.state() == "released"
    bench.wait_for_runs("ended", 2)
    assert bench.runs("ended") == {"long": 1, "late": 1}


def test_refused_releases_keep_the_worker_draining(
    bench: Bench,
) -> None:
    worker = bench.worker()
    worker.wait_for("ready")
    bench.ecs.desired = 0
    worker.control(DRAIN)
    worker.wait_for_log("Cannot release task protection (DEPLOYMENT_BLOCKED")
    assert "error" in worker.control(REVIVE)
    bench.send(("task", 0))
    requests = len(worker.ecs_task.requests)
    until(lambda: len(worker.ecs_task.requests) > requests + 1, "further requests")
    assert worker.state() == "draining"
    assert bench.left() == (1, 0)
    bench.ecs.desired = 1
    worker.wait_for("released")


def test_worker_that_stops_keeps_its_protection(bench: Bench) -> None:
    worker = bench.worker()
    worker.wait_for("ready")
    bench.send(("long", 120))
    bench.wait_for_runs("started", 1)
    worker.signal(signal.SIGTERM)
    worker.wait_for_log("Warm shutdown")
    bench.settle()
    assert worker.ecs_task.is_protected
    bench.end("long")
    assert all(request["ProtectionEnabled"] for request in worker.ecs_task.requests)
    until(lambda: not worker.process.is_running, "the worker to end")
    assert bench.runs("ended")["long"] == 1


def test_unavailable_agents_delay_the_worker(bench: Bench) -> None:
    bench.ecs.is_broken = True
    worker = bench.worker()
    worker.wait_for_log("task identity unknown")
    bench.ecs.holds_answers.set()
    bench.ecs.is_broken = False
    # Not reachable for the autoscaler's question, but alive for the health check.
    until(lambda: worker.control("ping", 1), "the worker to answer")
    assert "identity not known yet" in worker.control(STATE)["error"]
    bench.send(("task", 0))
    bench.ecs.holds_answers.clear()
    bench.wait_for_runs("ended", 1)


def test_frozen_workers_do_not_reply(bench: Bench) -> None:
    worker = bench.worker()
    worker.wait_for("ready")
    pid = worker.main_pid()
    os.kill(pid, signal.SIGSTOP)
    assert worker.control("ping", 2) is None
    os.kill(pid, signal.SIGCONT)
    until(lambda: worker.control("ping", 1), "the worker to answer")


def test_what_killed_supervisors_leave_is_ended(bench: Bench) -> None:
    worker = bench.worker(concurrency=1)
    worker.wait_for("ready")
    bench.send(("task", 120), task="supervised")
    bench.wait_for_runs("started", 1)
    (run,) = bench.folder.glob("task-*.started")
    task = int(run.name.split("-")[1])
    (record,) = bench.folder.glob("task-records-*/[0-9]*")
    supervisor = int(record.name)
    assert supervisor in worker.pids()
    # The worker has seen the task's process by then.
    bench.settle()
    os.kill(supervisor, signal.SIGKILL)
    until(lambda: not is_alive(task), "the task's process to end")
    worker.wait_for_log(f"The supervisor of supervised, process {supervisor}, was")
    assert not record.exists()

    # As well by a worker that ends, and whose loop no longer runs.
    bench.send(("last", 120), task="supervised")
    bench.wait_for_runs("started", 2)
    (record,) = record.parent.glob("[0-9]*")
    bench.settle()
    worker.signal(signal.SIGTERM)
    worker.wait_for_log("Warm shutdown")
    os.kill(int(record.name), signal.SIGKILL)
    until(lambda: not worker.process.is_running, "the worker to end")
    assert worker.said(f"process {record.name}, was killed")
    assert not record.exists()
    assert not worker.said("TypeError")
