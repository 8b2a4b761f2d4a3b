"""The commands logs, airflow and cost: output, exit codes, and what they refuse."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cli import deployment
from cli.deployment import ProjectContext
from cli.errors import ExitCode
from cli.main import main
from cli.operate import commands, component_names
from deploy import aws as aws_module
from deploy import one_off
from deploy.dist import Dist
from templates.airflow.components import COMMAND
from templates.airflow.environment import ENVIRONMENT
from tests.deploy.fakes import REGION, FakeAws, described, error, stack_id

NAME = "airflow-dev"
CLUSTER = "airflow-dev-Cluster"
TASK = f"arn:aws:ecs:{REGION}:1:task/{CLUSTER}/0123456789abcdef"
SERVICE = f"arn:aws:ecs:{REGION}:1:service/{CLUSTER}"
NETWORK = {"awsvpcConfiguration": {"subnets": ["s-1"], "securityGroups": ["sg-1"]}}
SERVICES, POOL = "AirflowServices", "DefaultWorkers"

RESOURCES: dict[str, list[tuple[str, str, str]]] = {
    NAME: [
        (SERVICES, "AWS::CloudFormation::Stack", stack_id("services")),
        (POOL, "AWS::CloudFormation::Stack", stack_id("pool")),
        ("Log", "AWS::Logs::LogGroup", "of-no-component"),
    ],
    "services": [
        ("ApiServer", "AWS::ECS::Service", f"{SERVICE}/api"),
        ("ApiServerDefinition", "AWS::ECS::TaskDefinition", "api:1"),
        ("ApiServerLog", "AWS::Logs::LogGroup", "api-log"),
        ("Scheduler", "AWS::ECS::Service", f"{SERVICE}/scheduler"),
        ("SchedulerDefinition", "AWS::ECS::TaskDefinition", "scheduler:1"),
        ("SchedulerLog", "AWS::Logs::LogGroup", "scheduler-log"),
        ("CommandDefinition", "AWS::ECS::TaskDefinition", "command:1"),
        ("CommandLog", "AWS::Logs::LogGroup", "command-log"),
    ],
    "pool": [
        ("Worker", "AWS::ECS::Service", f"{SERVICE}/worker"),
        ("WorkerDefinition", "AWS::ECS::TaskDefinition", "worker:1"),
        ("WorkerLog", "AWS::Logs::LogGroup", "worker-log"),
    ],
}

LINES = {
    "api-log": [(1000, "GET /"), (3000, "GET /dags")],
    "scheduler-log": [(2000, "\x1b[32mheartbeat\x1b[0m")],
    "worker-log": [(4000, "ready")],
    "command-log": [(500, "3.3.2")],
}


def resources(StackName: str, **_rest: Any) -> dict[str, Any]:  # noqa: N803 - AWS's
    own = next(n for n in RESOURCES if StackName in (n, stack_id(n)))
    return {
        "StackResourceSummaries": [
            {
                "LogicalResourceId": name,
                "ResourceType": kind,
                "PhysicalResourceId": physical_id,
                "ResourceStatus": "CREATE_COMPLETE",
            }
            for name, kind, physical_id in RESOURCES[own]
        ]
    }


def lines_of(logGroupName: str, **_rest: Any) -> dict[str, Any]:  # noqa: N803 - AWS's
    return {
        "events": [
            {
                "timestamp": at,
                "message": f"{text}\n",
                "logStreamName": f"x/y/{logGroupName}-0123",
                "eventId": f"{logGroupName}{at}",
            }
            for at, text in LINES[logGroupName]
        ]
    }


def stopped(**container: Any) -> dict[str, Any]:
    """Answer DescribeTasks; GuardDuty's container is in the task, too."""
    containers = [{"name": "guard", "exitCode": 9}, {"name": "command", **container}]
    return {
        "tasks": [
            {
                "lastStatus": "STOPPED",
                "stoppedReason": "Essential container in task exited",
                "containers": containers,
            }
        ]
    }


def output(*texts: str, forward: str = "a") -> dict[str, Any]:
    events = [{"message": text} for text in texts]
    return {"events": events, "nextForwardToken": forward}


def account(monkeypatch: pytest.MonkeyPatch, **answers: Any) -> FakeAws:
    options = {
        "awslogs-group": "command-log",
        "awslogs-stream-prefix": "command",
    }
    definition = {
        "name": "command",
        "logConfiguration": {"logDriver": "awslogs", "options": options},
    }
    usual: dict[str, Any] = {
        "describe_stacks": described(NAME, "CREATE_COMPLETE"),
        "list_stack_resources": resources,
        "filter_log_events": lines_of,
        "describe_services": {"services": [{"networkConfiguration": NETWORK}]},
        "describe_task_definition": {
            "taskDefinition": {"containerDefinitions": [definition]}
        },
        "run_task": {"tasks": [{"taskArn": TASK}], "failures": []},
        "describe_tasks": stopped(exitCode=0),
        "get_log_events": output(),
        "stop_task": {},
    }
    aws = FakeAws(**usual | answers)

    def make(**options: Any) -> FakeAws:
        aws.emulator = options.get("emulator")
        return aws

    monkeypatch.setattr(aws_module, "Aws", make)
    monkeypatch.setattr(one_off, "PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(one_off, "LOG_SECONDS", 0.01)
    return aws


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let no environment that runs from this checkout have a part in a test."""
    monkeypatch.setattr(deployment, "ROOT", tmp_path)
    return tmp_path


def run(root: Path, *words: str) -> Result:
    kinds = {NAME: {"Scheduler": "emulated"}}
    credentials = {
        "region_name": REGION,
        "aws_access_key_id": "111122223333",
        "aws_secret_access_key": "testing",
    }
    project = ProjectContext(
        root / "dist",
        lambda _region: ("http://127.0.0.1:1", credentials, lambda: kinds),
    )
    by_name = {command.name: command for command in commands(project)}
    return CliRunner().invoke(by_name[words[0]], words[1:])


# logs


def test_logs_of_all_services_are_in_order_and_plain(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account(monkeypatch)
    done = run(root, "logs", "dev")
    assert done.exit_code == ExitCode.OK
    shown = [line.split("  ", 1)[1] for line in done.stdout.splitlines()]
    assert shown == [
        "api-server/api-log-  GET /",
        "scheduler/schedule  heartbeat",
        "api-server/api-log-  GET /dags",
        "default-workers/worker-l  ready",
    ]


@pytest.mark.parametrize(
    ("word", "group"),
    [
        ("scheduler", "scheduler-log"),
        ("api_server", "api-log"),
        ("command", "command-log"),
        ("default-workers", "worker-log"),
        ("workers", "worker-log"),
    ],
)
def test_logs_of_one_component_read_its_group_alone(
    root: Path, monkeypatch: pytest.MonkeyPatch, word: str, group: str
) -> None:
    aws = account(monkeypatch)
    done = run(root, "logs", "dev", word, "--since", "2h", "--json")
    (read,) = aws.parameters("filter_log_events")
    assert read["logGroupName"] == group
    (message, *_) = [line["Message"] for line in json.loads(done.stdout)["Lines"]]
    assert message == LINES[group][0][1]


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["schedular"], "api-server, command, default-workers, scheduler"),
        (["scheduler", "--since", "10"], "10 is no duration"),
        (["scheduler", "--since", "-1m"], "-1m is no duration"),
        (["scheduler", "--since", "999999d"], "is no duration"),
        (["scheduler", "--follow", "--json"], "exclude each other"),
    ],
)
def test_wrong_words_of_logs_are_usage_errors(
    root: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], what: str
) -> None:
    aws = account(monkeypatch)
    done = run(root, "logs", "dev", *words)
    assert done.exit_code == ExitCode.USAGE
    assert what in done.output
    assert not aws.parameters("filter_log_events")


def test_followed_logs_show_each_line_once_and_late_ones(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line of another task arrives after a newer one."""
    now = int(time.time() * 1000)
    new, late, newest = (now, "new"), (now - 900, "late"), (now + 900, "newest")
    looks = [[new], [late, new], [late, new, newest]]

    def read(startTime: int, **_rest: Any) -> dict[str, Any]:  # noqa: N803 - AWS's
        if not looks:
            raise KeyboardInterrupt
        return {
            "events": [
                {"timestamp": at, "message": text, "eventId": text}
                for at, text in looks.pop(0)
                if at >= startTime
            ]
        }

    account(monkeypatch, filter_log_events=read)
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    done = run(root, "logs", "dev", "scheduler", "--follow")
    shown = [line.split()[-1] for line in done.stdout.splitlines()]
    assert shown == ["new", "late", "newest"]
    assert done.exit_code == ExitCode.INTERRUPTED


def test_logs_in_the_emulator_say_that_no_airflow_runs(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account(monkeypatch, filter_log_events={"events": []})
    done = run(root, "logs", "dev", "--emulator")
    assert done.exit_code == ExitCode.OK
    assert "No Airflow runs in the emulator" in done.output


def test_components_are_completed() -> None:
    none: Any = None
    assert component_names(none, none, "s") == ["scheduler", "spot-workers"]
    assert "default-workers" in component_names(none, none, "")


# airflow


def test_command_runs_in_the_network_of_the_scheduler(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws = account(
        monkeypatch,
        get_log_events=[
            output("dag_id", "a\x1b[1mb", forward="b"),
            output(forward="b"),
        ],
    )
    done = run(root, "airflow", "dev", "--", "dags", "list", "-o", "it's")
    assert done.exit_code == ExitCode.OK
    assert done.stdout.splitlines() == ["dag_id", "ab"]
    (request,) = aws.parameters("run_task")
    assert request["taskDefinition"] == "command:1"
    assert request["cluster"] == CLUSTER
    assert request["networkConfiguration"]["awsvpcConfiguration"] == {
        **NETWORK["awsvpcConfiguration"],
        "assignPublicIp": "DISABLED",
    }
    (override,) = request["overrides"]["containerOverrides"]
    assert override == {
        "name": COMMAND.name,
        "environment": [
            {"name": one_off.ARGUMENTS, "value": """dags list -o 'it'"'"'s'"""}
        ],
    }
    (described_services,) = aws.parameters("describe_services")
    assert described_services["services"] == ["scheduler"]
    assert aws.parameters("get_log_events")[0]["logStreamName"] == (
        "command/command/0123456789abcdef"
    )


def test_the_definition_reads_its_arguments_from_this_variable() -> None:
    names = {row.name for row in ENVIRONMENT if COMMAND in row.components}
    assert one_off.ARGUMENTS in names
    assert f"${one_off.ARGUMENTS}" in COMMAND.command[-1]


@pytest.mark.parametrize("code", [1, 2, 4, 137])
def test_exit_code_is_that_of_the_command(
    root: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    account(monkeypatch, describe_tasks=stopped(exitCode=code))
    assert run(root, "airflow", "dev", "dags", "list").exit_code == code


def test_a_task_that_never_ran_is_told_with_its_reason(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account(monkeypatch, describe_tasks=stopped(reason="CannotPullContainerError"))
    done = run(root, "airflow", "dev", "dags", "list")
    assert done.exit_code == ExitCode.UNABLE
    assert "CannotPullContainerError" in done.output

    failures = [{"reason": "RESOURCE:CPU"}]
    account(monkeypatch, run_task={"tasks": [], "failures": failures})
    done = run(root, "airflow", "dev", "dags", "list")
    assert done.exit_code == ExitCode.UNABLE
    assert "RESOURCE:CPU" in done.output


def test_output_waits_until_the_stream_exists(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = error("ResourceNotFoundException", "The log stream is missing.")
    runs = {"tasks": [{"lastStatus": "PENDING", "containers": []}]}
    account(
        monkeypatch,
        describe_tasks=[runs, stopped(exitCode=0)],
        get_log_events=[gone, output("late", forward="b"), output(forward="b")],
    )
    assert run(root, "airflow", "dev", "version").stdout == "late\n"


def test_ctrl_c_stops_the_task(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(**_rest: Any) -> dict[str, Any]:
        raise KeyboardInterrupt

    aws = account(monkeypatch, describe_tasks=interrupted)
    done = run(root, "airflow", "dev", "db", "clean")
    assert done.exit_code == ExitCode.INTERRUPTED
    assert [call["task"] for call in aws.parameters("stop_task")] == [TASK]
    assert "is being stopped" in done.output


@pytest.mark.parametrize(
    ("words", "code", "what"),
    [
        ([], ExitCode.USAGE, "Missing argument"),
        (["--"], ExitCode.USAGE, "Missing argument"),
        (["--", "airflow"], ExitCode.USAGE, "no command to run"),
        (["--", "scheduler"], ExitCode.USAGE, "does not end"),
        (["--", "airflow", "celery", "worker"], ExitCode.USAGE, "does not end"),
        (["--", "x" * 7001], ExitCode.USAGE, "7,001 characters"),
        (["--emulator", "version"], ExitCode.REFUSED, "No Airflow runs"),
    ],
)
def test_what_cannot_run_is_refused_before_a_task_starts(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    code: ExitCode,
    what: str,
) -> None:
    aws = account(monkeypatch)
    done = run(root, "airflow", "dev", *words)
    assert done.exit_code == code, done.output
    assert what in done.output
    assert not aws.parameters("run_task")


def test_missing_and_unfinished_stacks_are_refused(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account(monkeypatch, describe_stacks={"Stacks": []})
    assert run(root, "airflow", "dev", "version").exit_code == ExitCode.USAGE
    assert run(root, "logs", "dev").exit_code == ExitCode.USAGE
    account(monkeypatch, list_stack_resources={"StackResourceSummaries": []})
    done = run(root, "airflow", "dev", "version")
    assert done.exit_code == ExitCode.REFUSED
    assert "has no AirflowServices/CommandDefinition yet" in done.output


@pytest.mark.parametrize("name", ["logs", "airflow", "cost"])
def test_help_has_a_place_for_the_command(name: str) -> None:
    whole = CliRunner().invoke(main, ["--help"]).output
    assert f"\n  {name}  " in whole
    assert "Other" not in whole
    own = CliRunner().invoke(main, [name, "--help"]).output
    assert max(map(len, own.splitlines())) <= 80


# cost


def test_cost_adds_up_and_prints_what_it_assumes(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = {"CacheNodeType": "cache.t4g.small", "NumCacheClusters": "1"}
    template = {
        "Resources": {
            "Key": {"Type": "AWS::KMS::Key", "Properties": {}},
            "Nodes": {
                "Type": "AWS::ElastiCache::ReplicationGroup",
                "Properties": nodes,
            },
        }
    }
    own = SimpleNamespace(
        templates={"root": template},
        root="root",
        environment=lambda _name, _stack: SimpleNamespace(parameters={}),
    )
    monkeypatch.setattr(Dist, "read", lambda _folder: own)
    done = run(root, "cost", "dev")
    assert done.exit_code == ExitCode.OK
    last = done.stdout.splitlines()[-1]
    assert last.split() == ["Together", "19.69", "19.69"]
    assert "List prices of" in done.stderr
    assert "Not counted" in done.stderr

    document = json.loads(
        run(root, "cost", "dev", "--json", "--region", "eu-central-1").stdout
    )
    assert document["AtRest"] == 1.0
    assert document["Unpriced"] == ["1 nodes of cache.t4g.small"]
    other = run(root, "cost", "dev", "--region", "mars-1")
    assert other.exit_code == ExitCode.USAGE
