"""The cause of a failure is found below what the parent says."""

from __future__ import annotations

from typing import Any

import pytest

from deploy import stacks
from deploy.diagnosis import Diagnoser, Diagnosis, as_json
from tests.deploy.fakes import (
    FakeAws,
    described,
    dist,
    error,
    histories,
    nested,
    row,
    stack_id,
)

ROOT = "airflow-dev"
SERVICE_ARN = "arn:aws:ecs:eu-central-1:111122223333:service/cluster/api"
TASK = "arn:aws:ecs:eu-central-1:111122223333:task/cluster/0123456789abcdef"
EMBEDDED = (
    "Embedded stack arn:aws:cloudformation:... was not successfully created: The "
    "following resource(s) failed to create: [Data]."
)
CANCELLED = "Resource creation cancelled"

FAILED_CREATE = (
    row(1, ROOT, ROOT, "CREATE_IN_PROGRESS"),
    nested(2, ROOT, "Network", "CREATE_IN_PROGRESS", child="net"),
    nested(2, ROOT, "Storage", "CREATE_IN_PROGRESS", child="sto"),
    row(3, "net", "net", "CREATE_IN_PROGRESS"),
    row(3, "sto", "sto", "CREATE_IN_PROGRESS"),
    row(5, "sto", "Data", "CREATE_FAILED", reason="name already exists"),
    row(6, "sto", "Code", "CREATE_FAILED", reason=CANCELLED),
    row(7, "sto", "sto", "DELETE_IN_PROGRESS"),
    row(8, "sto", "sto", "DELETE_COMPLETE"),
    nested(9, ROOT, "Storage", "CREATE_FAILED", child="sto", reason=EMBEDDED),
    row(9, "net", "Vpc", "CREATE_FAILED", reason=CANCELLED),
    nested(10, ROOT, "Network", "CREATE_FAILED", child="net", reason=CANCELLED),
    row(11, ROOT, ROOT, "ROLLBACK_IN_PROGRESS", reason="[Storage] failed"),
    row(20, ROOT, ROOT, "ROLLBACK_COMPLETE"),
)


def diagnosed(
    *rows: dict[str, Any], status: str = "ROLLBACK_COMPLETE", **answers: Any
) -> Diagnosis:
    aws = FakeAws(
        describe_stack_events=histories(*rows),
        describe_stacks=described(ROOT, status),
        **answers,
    )
    return Diagnoser(aws, dist()).diagnose(stacks.existing(aws, ROOT))


def test_cause_is_found_in_a_deleted_nested_stack() -> None:
    """The parent knows only that a nested stack failed, and the rollback deleted it."""
    diagnosis = diagnosed(*FAILED_CREATE)
    assert [(c.name, c.reason) for c in diagnosis.causes] == [
        ("Storage/Data", "name already exists")
    ]
    assert diagnosis.causes[0].purpose == "Holds the data."


def test_next_command_follows_from_the_status() -> None:
    assert any("recover ENV" in step for step in diagnosed(*FAILED_CREATE).next_steps)
    update = diagnosed(*FAILED_CREATE, status="UPDATE_ROLLBACK_COMPLETE")
    assert any("launch ENV" in step for step in update.next_steps)


def test_failures_are_in_order_of_time() -> None:
    diagnosis = diagnosed(
        row(1, ROOT, ROOT, "UPDATE_IN_PROGRESS"),
        row(7, ROOT, "Late", "UPDATE_FAILED", reason="second"),
        row(3, ROOT, "Early", "UPDATE_FAILED", reason="first"),
    )
    assert [c.reason for c in diagnosis.causes] == ["first", "second"]


def test_an_old_failure_is_not_the_cause_of_a_new_one() -> None:
    diagnosis = diagnosed(
        row(1, ROOT, ROOT, "CREATE_IN_PROGRESS"),
        row(2, ROOT, "Old", "CREATE_FAILED", reason="long ago"),
        row(3, ROOT, ROOT, "CREATE_COMPLETE"),
        row(4, "net", "Vpc", "CREATE_FAILED", reason="long ago, too"),
        row(10, ROOT, ROOT, "UPDATE_IN_PROGRESS"),
        nested(11, ROOT, "Network", "UPDATE_FAILED", child="net", reason="x"),
        row(12, "net", "net", "UPDATE_IN_PROGRESS"),
        row(13, "net", "Subnet", "UPDATE_FAILED", reason="today"),
    )
    assert [c.reason for c in diagnosis.causes] == ["today"]


def test_nested_stack_that_never_began_is_the_cause() -> None:
    diagnosis = diagnosed(
        row(1, ROOT, ROOT, "CREATE_IN_PROGRESS"),
        row(
            2,
            ROOT,
            "Storage",
            "CREATE_FAILED",
            type="AWS::CloudFormation::Stack",
            reason="S3 error: Access Denied",
        ),
    )
    assert diagnosis.causes[0].name == "Storage"
    assert "Access Denied" in diagnosis.causes[0].reason


def test_failure_of_the_stack_itself_is_a_cause() -> None:
    diagnosis = diagnosed(
        row(1, ROOT, ROOT, "UPDATE_IN_PROGRESS"),
        row(2, ROOT, ROOT, "UPDATE_FAILED", reason="The stack policy denies it"),
    )
    assert diagnosis.causes[0].reason == "The stack policy denies it"


def test_a_healthy_stack_has_no_cause() -> None:
    diagnosis = diagnosed(
        row(1, ROOT, ROOT, "CREATE_IN_PROGRESS"),
        row(2, ROOT, ROOT, "CREATE_COMPLETE"),
        status="CREATE_COMPLETE",
    )
    assert diagnosis.is_healthy


def service(**task: Any) -> dict[str, Any]:
    """The answers of ECS and of the logs for one stopped task."""
    return {
        "list_tasks": {"taskArns": [TASK]},
        "describe_tasks": {
            "tasks": [
                {
                    "taskArn": TASK,
                    "taskDefinitionArn": "definition:1",
                    "stopCode": "EssentialContainerExited",
                    "stoppedReason": "Essential container in task exited",
                    "containers": [
                        {"name": "api-server", "exitCode": 3, "reason": "died"}
                    ],
                    **task,
                }
            ]
        },
        "describe_task_definition": {
            "taskDefinition": {
                "containerDefinitions": [
                    {
                        "name": "api-server",
                        "logConfiguration": {
                            "logDriver": "awslogs",
                            "options": {
                                "awslogs-group": "/airflow/api",
                                "awslogs-stream-prefix": "api",
                            },
                        },
                    }
                ]
            }
        },
        "get_log_events": {"events": [{"message": "ValueError: no database\n"}]},
    }


UNSTEADY = (
    row(1, ROOT, ROOT, "CREATE_IN_PROGRESS"),
    row(
        9,
        ROOT,
        "Service",
        "CREATE_FAILED",
        type="AWS::ECS::Service",
        physical_id=SERVICE_ARN,
        reason="ECS Deployment Circuit Breaker was triggered",
    ),
)


def test_evidence_of_a_service_is_tasks_exit_codes_and_log() -> None:
    evidence = diagnosed(*UNSTEADY, **service()).causes[0].evidence
    assert evidence == (
        "Task 0123456789abcdef stopped: Essential container in task exited",
        "Container api-server: exit code 3; died",
        "Log /airflow/api api/api-server/0123456789abcdef",
        "  ValueError: no database",
    )


def test_task_that_never_started_has_no_log() -> None:
    answers = service(
        stopCode="TaskFailedToStart",
        stoppedReason="CannotPullContainerError",
        containers=[{"name": "api-server"}],
    )
    evidence = diagnosed(*UNSTEADY, **answers).causes[0].evidence
    assert evidence == ("Task 0123456789abcdef stopped: CannotPullContainerError",)


@pytest.mark.parametrize("missing", ["list_tasks", "describe_tasks", "get_log_events"])
def test_cause_is_reported_without_its_evidence(missing: str) -> None:
    answers = {**service(), missing: error("ClusterNotFoundException", "gone")}
    assert "Circuit Breaker" in diagnosed(*UNSTEADY, **answers).causes[0].reason


def test_evidence_is_read_before_the_rollback() -> None:
    aws = FakeAws(
        describe_stack_events=histories(*UNSTEADY),
        describe_stacks=described(ROOT, "ROLLBACK_COMPLETE"),
        **service(),
    )
    diagnoser = Diagnoser(aws)
    diagnoser.record_evidence(stacks.last_operation(aws, stack_id(ROOT))[-1])
    aws.answers["list_tasks"] = error("ClusterNotFoundException", "gone")
    diagnosis = diagnoser.diagnose(stacks.existing(aws, ROOT))
    assert "exit code 3" in str(diagnosis.causes[0].evidence)


def test_reason_of_the_migration_job_has_its_log() -> None:
    """The migration job ends its reason with the place of the whole log."""
    diagnosis = diagnosed(
        row(1, ROOT, ROOT, "CREATE_IN_PROGRESS"),
        row(
            2,
            ROOT,
            "Migration",
            "CREATE_FAILED",
            type="Custom::Migration",
            reason="Received response status [FAILED] from custom resource. Message "
            "returned: migration job failed: the database refuses TLS; exit code 1. "
            "Log: /airflow/migration migration/migration/0123 (RequestId: 1-2-3)",
        ),
        get_log_events={"events": [{"message": "MIGRATION FAILED: refuses TLS"}]},
    )
    assert diagnosis.causes[0].evidence == (
        "Log /airflow/migration migration/migration/0123",
        "  MIGRATION FAILED: refuses TLS",
    )
    assert "database migration failed" in diagnosis.next_steps[0]


def test_diagnosis_is_printed_as_json() -> None:
    causes = as_json(diagnosed(*FAILED_CREATE))["Causes"]
    assert causes[0]["Name"] == "Storage/Data"


def test_start_of_an_operation_can_be_on_a_later_page() -> None:
    rows = [row(0, ROOT, "Old", "CREATE_FAILED", reason="long ago")]
    rows += [row(1, ROOT, ROOT, "UPDATE_IN_PROGRESS")]
    rows += [row(2, ROOT, "Bad", "UPDATE_FAILED", reason="today")]
    rows += [row(3 + n, ROOT, f"R{n}", "UPDATE_COMPLETE") for n in range(300)]
    newest_first = rows[::-1]

    def pages(NextToken: str = "0", **_rest: Any) -> dict[str, Any]:  # noqa: N803
        at = int(NextToken)
        page = {"StackEvents": newest_first[at : at + 100]}
        return {**page, "NextToken": str(at + 100)} if at + 100 < len(rows) else page

    aws = FakeAws(
        describe_stack_events=pages,
        describe_stacks=described(ROOT, "UPDATE_ROLLBACK_COMPLETE"),
    )
    diagnosis = Diagnoser(aws).diagnose(stacks.existing(aws, ROOT))
    assert [c.reason for c in diagnosis.causes] == ["today"]
