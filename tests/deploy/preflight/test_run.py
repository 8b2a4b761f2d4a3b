"""The report of the preflight, and what a launch makes of it."""

from __future__ import annotations

import pytest

from cli.errors import ExitCode, Problem, Refused, Unable, Unreachable
from deploy.aws import EmulatorEndpoint
from deploy.preflight.context import LaunchContext
from deploy.preflight.run import (
    as_json,
    before_launch,
    exit_code,
    preflight,
    print_report,
)
from tests.deploy.fakes import REGION
from tests.deploy.preflight.recorded import launch_context, linked_roles, quotas, zones

LACKS_ROLES = {"list_roles": linked_roles()}
LACKS_ZONES = {"describe_availability_zones": zones(f"{REGION}a")}


def in_emulator() -> LaunchContext:
    context = launch_context(answers=LACKS_ZONES)
    context.aws.emulator = EmulatorEndpoint(
        endpoint="http://127.0.0.1:1",
        region=REGION,
        access_key_id="x",
        secret_access_key="x",  # noqa: S106 - no real key
    )
    return context


def test_report_has_a_line_for_each_answer_and_its_remedy(
    capsys: pytest.CaptureFixture[str],
) -> None:
    report = preflight(launch_context(answers=LACKS_ZONES))
    print_report(report)
    output = capsys.readouterr()
    assert f"refused  {'Zones':<30}  2 zones are needed" in output.out
    assert "-> Lower ZoneCount" in output.out
    assert "pass, 1 refused." in output.err
    assert exit_code(report) is ExitCode.REFUSED


def test_json_names_the_account_and_every_answer() -> None:
    context = launch_context(answers=LACKS_ROLES)
    report = preflight(context)
    document = as_json(context, report)
    assert document["Region"] == REGION
    (roles,) = (c for c in document["Checks"] if c["Verdict"] == "warning")
    assert roles["Name"] == "Service-linked roles"
    assert roles["Remedy"].startswith("`build.py launch ENV`")
    assert exit_code(report) is ExitCode.OK


def test_question_without_an_answer_does_not_end_the_others() -> None:
    unreachable = Unreachable(Problem(where="AWS", what="No route.", remedy="Look."))
    report = preflight(launch_context(answers={"describe_addresses": unreachable}))
    (unanswered,) = (a for a in report.answers if a.finding.verdict.value != "pass")
    assert unanswered.check.name == "Elastic IPs"
    assert unanswered.finding.text == "No answer: No route."


def test_credentials_that_are_not_accepted_end_the_preflight() -> None:
    context = launch_context(
        answers={"get_caller_identity": Unable(Problem(where="AWS", what="Expired."))}
    )
    context.aws._identity = {}
    with pytest.raises(Unable, match="Expired"):
        preflight(context)


def test_emulator_is_asked_only_what_it_can_answer(
    capsys: pytest.CaptureFixture[str],
) -> None:
    context = in_emulator()
    report = preflight(context)
    assert not report.refusals
    assert "get_service_quota" not in str(context.aws.calls)
    print_report(report)
    assert "Not asked: the emulator" in capsys.readouterr().out


def test_refusal_stops_a_launch_and_names_the_option() -> None:
    with pytest.raises(Refused, match=r"Zones: 2 zones.*--no-preflight"):
        before_launch(launch_context(answers=LACKS_ZONES))


def test_launch_goes_on_with_warnings_and_tells_what_it_does_not_mend(
    capsys: pytest.CaptureFixture[str],
) -> None:
    answers = {"get_service_quota": quotas(L_3032A538=8), **LACKS_ROLES}
    before_launch(launch_context(answers=answers))
    messages = capsys.readouterr().err
    assert "An update would hang" in messages
    assert "Service-linked roles" not in messages
    assert "2 warning" in messages
