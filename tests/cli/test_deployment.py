"""The commands that deploy, over an account that answers from the test."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import click
import pytest
from click.testing import CliRunner, Result

from cli import deployment
from cli.command import USUAL
from cli.errors import Denied, ExitCode, Problem, Refused, Unable, UsageError
from deploy import aws as aws_module
from deploy import quick_create
from deploy.addresses import PublishLocation, build_publication
from deploy.aws import EmulatorEndpoint
from deploy.dist import Environment
from local import folders, running_environments
from local.running_environments import RunningEnvironment
from tests.deploy.fakes import (
    REGION,
    FakeAws,
    described,
    dist,
    error,
    histories,
    nested,
    row,
    stack_id,
    template,
    write,
)

NAME = "airflow-dev"
EXIT_CODES: dict[str, set[ExitCode]] = {
    "publish": set(),
    "preflight": set(),
    "plan": {ExitCode.UNCHANGED},
    "launch": set(),
    "status": set(),
    "events": set(),
    "outputs": set(),
    "diagnose": set(),
    "recover": {ExitCode.UNCHANGED},
    "destroy": {ExitCode.UNCHANGED},
    "link": set(),
    "catalog": {ExitCode.UNCHANGED},
    "role": {ExitCode.UNCHANGED},
}
"""The commands, and the exit codes beside those of every command for a stack."""


def connect(
    _region: str | None,
) -> tuple[str, dict[str, str], deployment.ResourceKinds]:
    credentials = {
        "region_name": REGION,
        "aws_access_key_id": "111122223333",
        "aws_secret_access_key": "testing",
    }
    return "http://127.0.0.1:1", credentials, lambda: {NAME: {"Data": "emulated"}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "dist")


def run(folder: Path, *words: str) -> Result:
    group = click.Group(commands=deployment.commands(folder, connect))
    return CliRunner().invoke(group, words)


def test_running_environment_is_shown_and_is_not_the_emulators(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """outputs --emulator once named the bucket of another emulator, without a word."""
    own = folders.claim(folder.parent / running_environments.FOLDER, "dev")
    RunningEnvironment("http://aws", REGION, "1", "http://ui", "ca").write(own.folder)
    monkeypatch.setattr(deployment, "ROOT", folder.parent)
    outputs = [{"OutputKey": "WebUrl", "OutputValue": "http://of-no-page"}]
    answers = described(NAME, "CREATE_COMPLETE", Outputs=outputs)
    use_account(monkeypatch, describe_stacks=answers)
    shown = run(folder, "outputs", "dev", "--emulator")
    assert "No page opens" in shown.output
    assert "is not in this emulator" in shown.output.replace("\n", " ")
    monkeypatch.setattr(
        RunningEnvironment, "aws", lambda _: FakeAws(describe_stacks=answers)
    )
    shown = run(folder, "outputs", "dev", "--running", "--json")
    assert json.loads(shown.output)["WebUrl"] == "http://ui"
    both = run(folder, "outputs", "dev", "--running", "--emulator")
    assert both.exit_code == ExitCode.USAGE
    own.give_up()
    gone = run(folder, "outputs", "dev", "--running")
    assert "No environment dev runs on this machine." in gone.output


@pytest.fixture(autouse=True)
def _no_local_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that runs from this checkout has no part in a test."""
    monkeypatch.setattr(deployment, "ROOT", tmp_path)


def use_account(monkeypatch: pytest.MonkeyPatch, **answers: Any) -> FakeAws:
    """Answer every command from here."""
    aws = FakeAws(**answers)

    def make(*, emulator: EmulatorEndpoint | None = None, **_rest: Any) -> FakeAws:
        aws.emulator = emulator
        return aws

    monkeypatch.setattr(aws_module, "Aws", make)
    return aws


PUBLISHED: dict[str, Any] = {
    "head_bucket": {"BucketRegion": REGION},
    "head_object": {},
    "get_bucket_policy": {"Policy": "TlsOnly"},
}


def test_every_command_exists(folder: Path) -> None:
    assert [c.name for c in deployment.commands(folder, connect)] == list(EXIT_CODES)


@pytest.mark.parametrize("name", EXIT_CODES)
def test_help_keeps_its_lines_and_lists_the_exit_codes(folder: Path, name: str) -> None:
    """click rewraps a paragraph without ``\\b``, and examples become one line."""
    output = run(folder, name, "--help").output
    assert "\n  Examples\n    ./build.py " in output
    assert "\\b" not in output
    codes = {
        int(code) for code in re.findall(r"^ {4}(\d+) +[a-z]", output, re.MULTILINE)
    }
    assert codes == {*USUAL, ExitCode.REFUSED, *EXIT_CODES[name]}
    assert max(map(len, output.splitlines())) <= 80


def test_preflight_prints_json_and_ends_with_refused(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    denied = Denied(Problem(where="x", what="no", remedy="Allow it."))
    use_account(
        monkeypatch,
        describe_stacks=described(NAME, "ROLLBACK_COMPLETE"),
        describe_vpcs={"Vpcs": []},
        get_service_quota=denied,
    )
    done = run(folder, "preflight", "dev", "--json")
    verdicts = {c["Name"]: c["Verdict"] for c in json.loads(done.output)["Checks"]}
    assert verdicts["Stack"] == "refused"
    assert verdicts["VPCs"] == "unknown"
    assert done.exit_code == ExitCode.REFUSED


def test_unknown_environment_is_a_usage_error(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    use_account(monkeypatch, **PUBLISHED)
    for name in ("publish", "preflight", "plan", "launch", "status", "destroy", "link"):
        done = run(folder, name, "test")
        assert done.exit_code == ExitCode.USAGE
        assert "It has: dev, prod." in done.output


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (Refused(Problem(where="x", what="no")), ExitCode.REFUSED),
        (Unable(Problem(where="x", what="no")), ExitCode.UNABLE),
        (error("Odd", "no"), ExitCode.FAILED),
        (KeyboardInterrupt(), ExitCode.INTERRUPTED),
        (OSError(28, "No space left on device"), ExitCode.UNABLE),
    ],
)
def test_every_failure_has_its_exit_code(
    monkeypatch: pytest.MonkeyPatch, folder: Path, failure: Any, code: ExitCode
) -> None:
    def fail(**_given: Any) -> Any:
        raise failure

    use_account(monkeypatch, describe_stacks=fail)
    assert run(folder, "outputs", "dev").exit_code == code


def test_commands_in_messages_have_the_arguments_of_this_command(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    busy = described("other", "UPDATE_ROLLBACK_IN_PROGRESS")
    use_account(monkeypatch, describe_stacks=busy)
    output = run(folder, "recover", "dev", "--emulator", "--stack-name", "other").output
    assert "build.py events dev --stack-name other --emulator --follow" in output


def test_outputs_of_a_stack_need_no_build(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    outputs = [{"OutputKey": "WebUrl", "OutputValue": "https://x"}]
    use_account(
        monkeypatch, describe_stacks=described(NAME, "CREATE_COMPLETE", Outputs=outputs)
    )
    done = run(tmp_path / "none", "outputs", "dev", "--json")
    assert json.loads(done.output) == {"WebUrl": "https://x"}


def test_wrong_stack_name_is_refused_before_a_build(tmp_path: Path) -> None:
    project = deployment.ProjectContext(
        tmp_path, lambda _region: pytest.fail("connected"), build=pytest.fail
    )
    target = deployment.CommandTarget(
        "dev", None, None, "a.b", emulator=False, project=project
    )
    with pytest.raises(UsageError, match="does not accept it"):
        target.dist()


def test_launch_without_a_build_names_the_build_command(tmp_path: Path) -> None:
    done = run(tmp_path, "launch", "dev", "--emulator")
    assert done.exit_code == ExitCode.UNABLE
    assert "make templates" in done.output


STATUS: dict[str, Any] = {
    "describe_stacks": described(NAME, "CREATE_COMPLETE"),
    "get_template": {"TemplateBody": template()},
    "list_stack_resources": {
        "StackResourceSummaries": [
            {
                "LogicalResourceId": name,
                "ResourceType": kind,
                "PhysicalResourceId": name.lower(),
                "ResourceStatus": "CREATE_COMPLETE",
            }
            for name, kind in (
                ("Data", "AWS::S3::Bucket"),
                ("Eip", "AWS::EC2::EIP"),
            )
        ]
    },
}


def test_status_in_the_emulator_lists_the_kind_of_every_resource(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    use_account(monkeypatch, **STATUS)
    output = run(folder, "status", "dev", "--emulator").output
    assert "1 emulated, 1 not listed" in output
    data = json.loads(run(folder, "status", "dev", "--emulator", "--json").output)
    assert [r["Here"] for r in data["Resources"]] == ["emulated", "not listed"]


def test_status_on_aws_has_no_kinds(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    use_account(monkeypatch, **STATUS)
    assert "emulated" not in run(folder, "status", "dev", "--resources").output


def test_status_of_a_failed_stack_ends_with_failed(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    bad = {**STATUS, "describe_stacks": described(NAME, "UPDATE_ROLLBACK_FAILED")}
    use_account(monkeypatch, **bad)
    assert run(folder, "status", "dev").exit_code == ExitCode.FAILED


EVENTS = histories(
    row(1, NAME, NAME, "UPDATE_IN_PROGRESS"),
    nested(2, NAME, "Storage", "UPDATE_IN_PROGRESS", child="sto"),
    row(3, "sto", "Data", "UPDATE_FAILED", reason="the cause"),
    nested(4, NAME, "Storage", "UPDATE_FAILED", child="sto", reason="x"),
    row(5, NAME, NAME, "UPDATE_ROLLBACK_COMPLETE"),
)


def test_events_of_all_stacks_are_shown_in_order(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    use_account(
        monkeypatch,
        describe_stacks=described(NAME, "UPDATE_ROLLBACK_COMPLETE"),
        describe_stack_events=EVENTS,
    )

    def names(*options: str) -> list[str]:
        lines = run(folder, "events", "dev", *options).output.splitlines()
        return [line.split()[3] for line in lines]

    every = ["the", "Storage", "Storage/Data", "Storage", "the"]
    assert names("--all") == every
    assert names() == every[2:]
    only = run(folder, "events", "dev", "--failed").output.splitlines()
    assert len(only) == 2


def test_events_of_the_same_time_keep_their_order(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    """Many happen within the same millisecond, and come the newest first."""
    use_account(
        monkeypatch,
        describe_stacks=described(NAME, "CREATE_COMPLETE"),
        describe_stack_events=histories(
            row(1, NAME, NAME, "CREATE_IN_PROGRESS"),
            nested(2, NAME, "Storage", "CREATE_IN_PROGRESS", child="sto"),
            row(3, "sto", "Data", "CREATE_IN_PROGRESS"),
            row(3, "sto", "Data", "CREATE_COMPLETE"),
        ),
    )
    lines = run(folder, "events", "dev", "--all").output.splitlines()
    assert [line.split()[2] for line in lines[-2:]] == [
        "CREATE_IN_PROGRESS",
        "CREATE_COMPLETE",
    ]


def test_diagnose_prints_the_cause_and_ends_with_failed(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    use_account(
        monkeypatch,
        describe_stacks=described(NAME, "UPDATE_ROLLBACK_COMPLETE"),
        describe_stack_events=EVENTS,
    )
    done = run(folder, "diagnose", "dev")
    assert done.exit_code == ExitCode.FAILED
    assert "Root cause: Storage/Data" in done.output


def test_plan_without_changes_ends_with_unchanged(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    use_account(
        monkeypatch,
        **PUBLISHED,
        describe_stacks=described(NAME, "CREATE_COMPLETE"),
        get_template={"TemplateBody": template()},
        create_change_set={"Id": "set", "StackId": stack_id(NAME)},
        describe_change_set={
            "Status": "FAILED",
            "StatusReason": "The submitted information didn't contain changes.",
        },
        delete_change_set={},
    )
    done = run(folder, "plan", "dev")
    assert done.exit_code == ExitCode.UNCHANGED
    assert "Nothing to change" in done.output


def test_plan_is_printed_as_json(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    added = {
        "Action": "Add",
        "LogicalResourceId": "Topic",
        "ResourceType": "AWS::SNS::Topic",
    }
    use_account(
        monkeypatch,
        **PUBLISHED,
        describe_stacks=described(NAME, "CREATE_COMPLETE"),
        get_template={"TemplateBody": template()},
        create_change_set={"Id": "set", "StackId": stack_id(NAME)},
        describe_change_set={
            "Status": "CREATE_COMPLETE",
            "ChangeSetId": "set",
            "StackId": stack_id(NAME),
            "Changes": [{"ResourceChange": added}],
        },
        delete_change_set={},
    )
    data = json.loads(run(folder, "plan", "dev", "--json").output)
    dangers = {each["Name"]: each["EndangersData"] for each in data["Changes"]}
    assert dangers["Topic"] is False


def test_publish_prints_urls_as_json(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    use_account(monkeypatch, **PUBLISHED)
    data = json.loads(run(folder, "publish", "dev", "--json").output)
    assert data["Parent"] == data["Files"]["parent.template.json"]
    assert data["Uploaded"] == []


def test_link_fills_in_the_console_form_of_its_region(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    use_account(monkeypatch, **PUBLISHED)
    url = urlsplit(run(folder, "link", "dev").output.strip())
    assert url.netloc == f"{REGION}.console.aws.amazon.com"
    assert url.fragment.startswith("/stacks/create/review?")
    filled = parse_qs(url.fragment.partition("?")[2])
    assert filled["stackName"] == [NAME]
    assert filled["param_Size"] == ["1"]
    assert filled["templateURL"][0].endswith(".json")


def test_link_to_an_unreadable_template_is_refused(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    use_account(monkeypatch, **{**PUBLISHED, "head_object": error("404", "Not Found")})
    done = run(folder, "link", "dev")
    assert done.exit_code == ExitCode.REFUSED
    assert "https://eu-central" not in done.output


def test_role_is_written_and_named_in_json(folder: Path, tmp_path: Path) -> None:
    file, caller = tmp_path / "role.json", "arn:aws:iam::111122223333:role/Pipeline"
    words = ("role", "dev", "--caller", caller, "--output", str(file), "--json")
    printed = json.loads(run(folder, *words).stdout)
    assert (printed["File"], printed["Stack"]) == (str(file), f"{NAME}-role")
    assert printed["Parameters"]["CallerArns"] == caller
    assert "ServiceRole" in json.loads(file.read_text())["Resources"]


def test_badge_is_a_markdown_button(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    use_account(monkeypatch, **PUBLISHED)
    output = run(folder, "link", "dev", "--badge").output
    assert output.startswith("[![Launch airflow-dev](https://")


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("cn-north-1", "cn-north-1.console.amazonaws.cn"),
        ("us-gov-west-1", "us-gov-west-1.console.amazonaws-us-gov.com"),
    ],
)
def test_other_partitions_have_other_consoles(region: str, host: str) -> None:
    built = dist()
    aws = aws_module.Aws(region=region)
    publication = build_publication(
        built.files, PublishLocation("b", region, aws.dns_suffix)
    )
    url = quick_create.quick_create(aws, publication, built.environment("dev"))
    assert urlsplit(url).netloc == host


def test_link_encodes_blanks_in_values() -> None:
    """The console reads what follows the # itself, and takes a plus for a plus."""
    built = dist()
    aws = aws_module.Aws(region=REGION)
    publication = build_publication(
        built.files, PublishLocation("b", REGION, aws.dns_suffix)
    )
    environment = Environment("dev", NAME, {"Note": "a b&c+d"})
    url = quick_create.quick_create(aws, publication, environment)
    assert "param_Note=a%20b%26c%2Bd" in url


def test_a_link_too_long_for_a_browser_is_refused() -> None:
    built = dist()
    aws = aws_module.Aws(region=REGION)
    publication = build_publication(
        built.files, PublishLocation("b", REGION, aws.dns_suffix)
    )
    long = Environment("dev", NAME, {"Note": "x" * 9000})
    with pytest.raises(Refused, match="Set fewer parameters"):
        quick_create.quick_create(aws, publication, long)


@pytest.mark.parametrize(
    ("target", "word", "what"),
    [
        ({"Account": "999999999999"}, "--json", "Account 111122223333"),
        ({"Region": "eu-west-1"}, "--region=us-east-1", "says Region eu-west-1"),
        ({"Profile": "prod"}, "--profile=dev", "says Profile prod"),
        ({"StackName": "a"}, "--stack-name=b", "says StackName a"),
    ],
    ids=str,
)
def test_command_that_would_go_elsewhere_is_refused(
    target: dict[str, str],
    word: str,
    what: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use_account(monkeypatch, **PUBLISHED)
    group = click.Group(
        commands=deployment.commands(folder, connect, target=lambda _name: target)
    )
    for name in ("plan", "status"):
        done = CliRunner().invoke(group, [name, "dev", word])
        assert done.exit_code == ExitCode.REFUSED
        assert what in done.output


def test_target_of_the_file_is_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options_of_aws: list[dict[str, Any]] = []
    aws = FakeAws(describe_stacks=described("mine", "CREATE_COMPLETE"))

    def make(**options: Any) -> FakeAws:
        options_of_aws.append(options)
        return aws

    monkeypatch.setattr(aws_module, "Aws", make)
    stated = {"Profile": "prod", "Region": "eu-west-1", "StackName": "mine"}
    commands = deployment.commands(folder, connect, target=lambda _name: stated)
    done = CliRunner().invoke(click.Group(commands=commands), ["outputs", "dev"])
    assert done.exit_code == ExitCode.OK, done.output
    assert options_of_aws == [{"profile": "prod", "region": "eu-west-1"}]
    assert aws.parameters("describe_stacks") == [{"StackName": "mine"}]


def test_parameter_without_a_value_is_a_usage_error(folder: Path) -> None:
    done = run(folder, "catalog", "dev", "--emulator", "--parameter", "LauncherArn")
    assert done.exit_code == ExitCode.USAGE
    assert "Write NAME=VALUE" in done.output
