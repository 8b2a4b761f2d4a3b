"""The run of all checks: its order, what stops it, and what it removes."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from acceptance import report
from acceptance.api import ApiError
from acceptance.aws import pool_scaling, suite, temporary
from acceptance.aws.costs import Cost
from acceptance.aws.environment import AwsEnvironment
from acceptance.check import CheckFailed, CheckResult, Outcome, count
from acceptance.checks import dags
from cli.console import json_document
from cli.errors import Denied, Problem, Refused, UsageError
from tests.acceptance.aws.recorded import RecordedAws, environment

LISTED = "s3:list_objects_v2"


class FakeAirflow:
    """Knows the DAGs of the checks until they are deleted."""

    def __init__(self) -> None:
        self.known = set(dags.ALL)
        self.stale = True

    def dag(self, dag_id: str) -> dict[str, Any]:
        if dag_id not in self.known:
            raise ApiError(404, "gone")
        return {"is_stale": self.stale}

    def delete(self, path: str) -> None:
        self.known.remove(path.removeprefix("/dags/"))


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> FakeAirflow:
    fake = FakeAirflow()
    monkeypatch.setattr(temporary, "api", lambda _: fake)
    monkeypatch.setattr(temporary, "STALE_SECONDS", 0.0)
    return fake


@pytest.fixture
def erased(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Give the prefixes that were erased."""
    prefixes: list[str] = []
    monkeypatch.setattr(
        temporary, "erase", lambda _s3, _bucket, prefix: prefixes.append(prefix)
    )
    return prefixes


@pytest.fixture
def checked(
    monkeypatch: pytest.MonkeyPatch, airflow: FakeAirflow, erased: list[str]
) -> AwsEnvironment:
    """Give an environment whose listener is reached, with one check of each kind."""
    del airflow, erased
    ok: Callable[[AwsEnvironment], str] = lambda _: "ok"  # noqa: E731
    monkeypatch.setattr(suite, "READING", (("Reads", ok),))
    monkeypatch.setattr(suite, "LISTENER", (("Listens", ok),))
    monkeypatch.setattr(suite, "CANARY", (("Runs", ok),))
    monkeypatch.setattr(temporary, "is_reachable", lambda _: True)
    monkeypatch.setattr(dags, "picked_up", lambda _: "known")
    aws = RecordedAws()
    aws.answers[LISTED] = {}
    environment_ = environment(aws)
    monkeypatch.setattr(AwsEnvironment, "client", lambda *_: None)
    outputs = {**environment_.stack.outputs, "Version": "1"}
    outputs |= {"DagBucketName": "dags", "LogBucketName": "logs"}
    object.__setattr__(environment_.stack, "outputs", outputs)
    return environment_


WITHOUT_SCALING = dict.fromkeys((suite.SCALING, suite.ACTED), "--no-scaling")
run = partial(suite.run, tell=lambda _: None, by_relay=False, skipped=WITHOUT_SCALING)


def outcomes(results: list[CheckResult]) -> dict[str, str]:
    return {result.title: result.outcome.name for result in results}


def test_everything_that_was_made_is_removed(
    checked: AwsEnvironment, airflow: FakeAirflow, erased: list[str]
) -> None:
    verification = run(checked)

    assert outcomes(verification.results) == {
        "Reads": "PASSED",
        suite.REACHED: "PASSED",
        "Listens": "PASSED",
        suite.KNOWN: "PASSED",
        "Runs": "PASSED",
        suite.SCALING: "SKIPPED",
        suite.ACTED: "SKIPPED",
    }
    assert not verification.has_failed
    assert not airflow.known
    assert erased == [
        "airflow-verify/",
        *(f"logs/dag_id={dag_id}/" for dag_id in dags.ALL),
    ]


def test_selected_checks_that_only_read_make_nothing(
    checked: AwsEnvironment, erased: list[str]
) -> None:
    skipped = suite.skipped(["reads"], has_scaling=True)

    results = run(checked, skipped=skipped).results

    assert [r.title for r in results if r.outcome is Outcome.PASSED] == ["Reads"]
    assert not erased


def test_selected_check_brings_what_it_needs(checked: AwsEnvironment) -> None:
    del checked
    titles = suite.needs().keys()

    assert titles - suite.skipped(["listens"], has_scaling=True).keys() == {
        *("Listens", suite.REACHED)
    }
    assert titles - suite.skipped(["ALARMS"], has_scaling=True).keys() == {
        *(suite.ACTED, suite.SCALING, suite.KNOWN, suite.REACHED)
    }
    with pytest.raises(UsageError, match="nearest"):
        suite.skipped(["alarms"], has_scaling=False)


def test_what_cannot_be_removed_is_named_and_fails(
    checked: AwsEnvironment, airflow: FakeAirflow
) -> None:
    airflow.stale = False

    verification = run(checked)

    (left,) = verification.left
    assert "delete them in the Airflow UI" in left
    assert verification.has_failed


def test_interruption_removes_as_well(
    checked: AwsEnvironment, erased: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pool_scaling, "Watch", interrupted)

    with pytest.raises(KeyboardInterrupt):
        run(checked)

    assert erased[0] == "airflow-verify/"


def test_second_interruption_leaves_one_thing_and_says_so(
    checked: AwsEnvironment, erased: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    lines: list[str] = []
    monkeypatch.setattr(pool_scaling, "Watch", interrupted)
    monkeypatch.setattr(temporary.Temporary, "_remove_dags", interrupted)

    with pytest.raises(KeyboardInterrupt):
        suite.run(checked, lines.append, by_relay=False, skipped=WITHOUT_SCALING)

    assert lines[-1].startswith("NOT REMOVED: the DAGs check_plain")
    assert erased[-1].startswith("logs/")


def test_without_rights_nothing_is_started(
    checked: AwsEnvironment, erased: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(_: AwsEnvironment) -> str:
        raise Denied(Problem(where="*", what="x may not kms:DescribeKey."))

    monkeypatch.setattr(suite, "READING", (("Reads", denied),))

    results = run(checked).results

    assert "x may not kms:DescribeKey." in results[0].detail
    assert count(results, Outcome.SKIPPED) == len(results) - 1
    assert len(checked.denied) == 1
    assert not erased


def test_denied_upload_is_named(
    checked: AwsEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(_: AwsEnvironment) -> str:
        answer = {
            "Error": {"Code": "AccessDenied", "Message": "x may not s3:PutObject"}
        }
        raise ClientError(answer, "PutObject")

    monkeypatch.setattr(dags, "picked_up", denied)

    results = {result.title: result.detail for result in run(checked).results}

    assert "x may not s3:PutObject" in results[suite.KNOWN]
    assert checked.denied


def test_checks_behind_an_unreachable_listener_are_skipped(
    checked: AwsEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object, **__: object) -> str:
        raise CheckFailed("The relay task ended: no image.")

    monkeypatch.setattr(temporary.Temporary, "reach", unreachable)

    results = outcomes(run(checked).results)

    assert results[suite.REACHED] == "FAILED"
    assert results["Listens"] == results["Runs"] == "SKIPPED"


def test_second_verify_is_refused(checked: AwsEnvironment) -> None:
    aws: Any = checked.aws
    now = datetime.now(UTC)
    aws.answers[LISTED] = {"Contents": [{"LastModified": now}]}

    with pytest.raises(Refused, match="Another verify of this environment runs"):
        run(checked)

    aws.answers[LISTED] = {"Contents": [{"LastModified": now - timedelta(hours=2)}]}
    assert not run(checked).has_failed


def test_report_is_written_for_programs_and_people(
    checked: AwsEnvironment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checked.project = tmp_path
    verification = run(checked)

    with json_document(is_json=True):
        document, page = report.write(
            checked,
            verification.results,
            report.verification_facts(checked, verification),
            lambda console: report.print_verification(checked, verification, console),
        )

    written = json.loads(document.read_text())
    assert json.loads(capsys.readouterr().out) == written
    assert written["Stack"] == "airflow-dev"
    assert written["Checks"][0] == {
        "Title": "Reads",
        "Outcome": "passed",
        "Seconds": 0.0,
        "Observed": "ok",
    }
    assert suite.KNOWN in page.read_text()


def test_cost_counts_the_relay_and_the_added_worker() -> None:
    cost = Cost(1200, 300, 600, 1, 4)

    # 20 minutes of 0.25 vCPU and 0.5 GB, 10 of 1 vCPU and 4 GB, 5,400 requests.
    expected = 100 * (
        (0.25 * 0.04048 + 0.5 * 0.004445) / 3
        + (0.04048 + 4 * 0.004445) / 6
        + 5400 * 0.005 / 1000
    )
    assert cost.cents == pytest.approx(expected)
    assert cost.cents < 5
