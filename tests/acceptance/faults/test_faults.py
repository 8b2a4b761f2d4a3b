"""The faults as the rehearsal takes them, without an environment."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from acceptance.check import CheckFailed
from acceptance.faults import ENVIRONMENT, FAULTS, kills, launches, ledger, load
from local.launcher import Launched

ROOT = Path(__file__).parents[3]


def test_every_fault_is_a_line_of_its_own() -> None:
    titles = [fault.title for fault in FAULTS]
    assert len(set(titles)) == len(titles)


def test_each_component_that_can_be_killed_is() -> None:
    # A component that joins the table must not be forgotten here.
    told = " ".join(fault.title for fault in FAULTS)
    for component in ("api-server", "scheduler", "dag-processor", "triggerer"):
        assert f"kill -9 of the {component}" in told
    assert "kill -9 of a worker" in told


def test_a_killed_worker_is_noticed_later_than_a_restart_takes() -> None:
    # Otherwise tasks that are well would be given up while the API server restarts.
    timeout = int(ENVIRONMENT[kills.HEARTBEAT_TIMEOUT])
    assert 45 <= timeout < 300
    assert timeout < kills.NOTICED_SECONDS


def test_the_ledger_knows_the_tasks_of_the_dag() -> None:
    text = (load.DAGS / "faults_ledger.py").read_text()
    found = {
        node.name
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef)
        and any(isinstance(one, ast.Name) and one.id == "task" for one in _marks(node))
    }
    assert found | {"deferred"} == {*ledger.SINGLE, *ledger.MAPPED}
    assert f'task_id="{load.DEFERRED}"' in text
    assert f"def {load.DAG}()" in text


def _marks(node: ast.FunctionDef) -> list[ast.expr]:
    return node.decorator_list


GATE = (
    "Stack airflow is UPDATE_ROLLBACK_COMPLETE.\n"
    "Root cause: Migration/Migration\n"
    "  Custom::Migration  UPDATE_FAILED\n"
    "  migration job failed: the reason; exit code 1. Log: group stream\n"
)


def test_a_refused_update_is_proven_by_what_diagnose_says() -> None:
    launched = Launched("UPDATE_ROLLBACK_COMPLETE", GATE)
    seen = launches.refused(launched, "the reason")
    assert seen.startswith("diagnose: migration job failed: the reason; exit code 1.")


@pytest.mark.parametrize(
    ("status", "text", "words"),
    [
        ("UPDATE_COMPLETE", "", "ended as UPDATE_COMPLETE"),
        ("UPDATE_ROLLBACK_COMPLETE", GATE.replace("the reason", "?"), "the cause"),
        (
            "UPDATE_ROLLBACK_COMPLETE",
            GATE.replace("Migration/Migration", "Web"),
            "the cause",
        ),
        ("UPDATE_ROLLBACK_COMPLETE", GATE.replace("Log:", ""), "name the log"),
    ],
)
def test_an_update_that_passes_or_fails_without_a_word_is_not_proven(
    status: str, text: str, words: str
) -> None:
    with pytest.raises(CheckFailed, match=words):
        launches.refused(Launched(status, text), "the reason")
