"""What each component may do on AWS: one table of grants, and the roles' documents.

A task has two roles. With the execution role Fargate starts it: pulls the image,
writes the log, reads exactly the component's secrets. With the task role its code
runs, and in a worker, the DAG processor and the triggerer that is the code of DAG
authors: so a task role reads no secret at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import awacs.awslambda
import awacs.cloudformation
import awacs.cloudwatch
import awacs.ecr
import awacs.ecs
import awacs.iam
import awacs.kms
import awacs.logs
import awacs.s3
import awacs.secretsmanager
import awacs.ssmmessages
from awacs.aws import (
    Action,
    Allow,
    ArnEquals,
    Condition,
    ConditionElement,
    PolicyDocument,
    Statement,
    StringEquals,
    StringLike,
)
from troposphere import AWSHelperFn, StackId, Sub

from templates.airflow import metrics
from templates.airflow.components import (
    API_SERVER,
    AUTOSCALER,
    COMMAND,
    DAG_PROCESSOR,
    EVERYONE,
    TRIGGERER,
    WORKER,
    Audience,
    Component,
    only,
)
from templates.airflow.environment import LOG_FOLDER
from templates.airflow.task_context import Site, known

VERSION = "2012-10-17"
TASKS = "ecs-tasks.amazonaws.com"

Resources = Sequence[AWSHelperFn | str]


@dataclass(frozen=True)
class Grant:
    """Something the code of some components may do."""

    actions: tuple[Action, ...]
    resources: Callable[[Site], Resources]
    who: Audience
    why: str
    kms_by_way_of: str = ""
    """The one service through which a KMS key may be used."""
    bond: Callable[[Site], ConditionElement] | None = None
    """What narrows it further, or at all where AWS knows no resource."""


READS_DAGS: Audience = only(DAG_PROCESSOR, WORKER, COMMAND)
READS_LOGS: Audience = only(API_SERVER, TRIGGERER, WORKER)
WRITES_LOGS: Audience = only(TRIGGERER, WORKER)


def in_cluster(site: Site) -> ArnEquals:
    """Return the bond to our own cluster."""
    return ArnEquals("ecs:cluster", site.cluster.arn)


GRANTS = (
    Grant(
        (awacs.s3.GetObject,),
        lambda site: [
            Sub(
                "arn:${AWS::Partition}:s3:::${Bucket}/${Key}",
                Bucket=site.runtime.bucket,
                Key=site.runtime.key,
            )
        ],
        EVERYONE,
        "The bootstrap fetches the runtime archive, this one object.",
    ),
    Grant(
        (awacs.s3.ListBucket,),
        lambda site: [_bucket(known(site.storage).dag_bucket_name)],
        READS_DAGS,
        "The DAG bundle looks whether its bucket exists, and what lies in it.",
    ),
    Grant(
        (awacs.s3.GetObject,),
        lambda site: [_objects(known(site.storage).dag_bucket_name)],
        READS_DAGS,
        "It copies the files. Nobody here may write them.",
    ),
    Grant(
        (awacs.s3.ListBucket,),
        lambda site: [_bucket(known(site.storage).log_bucket_name)],
        READS_LOGS,
        "The logs of a task instance are found by prefix; a missing one is then "
        "missing and not forbidden.",
    ),
    Grant(
        (awacs.s3.GetObject,),
        lambda site: [_logs(site)],
        READS_LOGS,
        "The page shows them; a second attempt at an upload adds to what is there.",
    ),
    Grant(
        (awacs.s3.PutObject,),
        lambda site: [_logs(site)],
        WRITES_LOGS,
        "A log is uploaded when its task or trigger ends.",
    ),
    Grant(
        (awacs.kms.Decrypt,),
        lambda site: [site.guard.key_arn],
        READS_DAGS | READS_LOGS,
        "The objects are encrypted.",
        kms_by_way_of="s3",
    ),
    Grant(
        (awacs.kms.GenerateDataKey,),
        lambda site: [site.guard.key_arn],
        WRITES_LOGS,
        "So are the new ones.",
        kms_by_way_of="s3",
    ),
    Grant(
        (awacs.ecs.UpdateTaskProtection,),
        lambda site: [tasks_of(site)],
        only(WORKER),
        "A worker protects itself from scale-in, and lets go when it is drained.",
    ),
    Grant(
        (awacs.cloudwatch.PutMetricData,),
        lambda _: ["*"],
        only(AUTOSCALER),
        "It publishes what scaling follows, in one namespace.",
        bond=lambda _: StringEquals("cloudwatch:namespace", metrics.NAMESPACE),
    ),
    Grant(
        (awacs.ecs.ListServices,),
        lambda _: ["*"],
        only(AUTOSCALER),
        "It finds the pools' services by their tag; the action knows no resource.",
        bond=in_cluster,
    ),
    Grant(
        (awacs.ecs.DescribeServices,),
        lambda site: [services_of(site)],
        only(AUTOSCALER),
        "It reads how many workers are wanted and run, and of which revision.",
        bond=in_cluster,
    ),
)
"""Everything that code in a task may do, beside what the operator attaches."""


def task_policy(residents: Iterable[Component], site: Site) -> PolicyDocument:
    """Return what the code of a task may do: they share its role."""
    here = frozenset(residents)
    return _policy(
        *(
            _allow(*grant.actions, on=grant.resources(site), when=_bonds(grant, site))
            for grant in GRANTS
            if here & grant.who
        )
    )


def execution_policy(
    site: Site, *, log_group_arn: AWSHelperFn, secret_arns: Resources
) -> PolicyDocument:
    """Return what Fargate may do to start a task: image, log and secrets."""
    return _policy(
        # It has no resource form, and tells nothing but who is asking.
        _allow(awacs.ecr.GetAuthorizationToken, on=["*"]),
        # Any repository that lets this account in, of this region: an image's name
        # tells neither account nor repository to CloudFormation. Only reading.
        _allow(
            awacs.ecr.BatchCheckLayerAvailability,
            awacs.ecr.BatchGetImage,
            awacs.ecr.GetDownloadUrlForLayer,
            on=[Sub("arn:${AWS::Partition}:ecr:${AWS::Region}:*:repository/*")],
        ),
        _allow(awacs.logs.CreateLogStream, awacs.logs.PutLogEvents, on=[log_group_arn]),
        _allow(awacs.secretsmanager.GetSecretValue, on=secret_arns),
        _allow(
            awacs.kms.Decrypt, on=[site.guard.key_arn], when=[_via("secretsmanager")]
        ),
    )


def exec_policy(site: Site) -> PolicyDocument:
    """Return what a shell or a forwarded port in a task takes."""
    return _policy(
        # They have no resource form.
        _allow(
            awacs.ssmmessages.CreateControlChannel,
            awacs.ssmmessages.CreateDataChannel,
            awacs.ssmmessages.OpenControlChannel,
            awacs.ssmmessages.OpenDataChannel,
            on=["*"],
        ),
        _allow(
            awacs.logs.DescribeLogGroups,
            on=[_log_group()],
        ),
        _allow(
            awacs.logs.CreateLogStream,
            awacs.logs.DescribeLogStreams,
            awacs.logs.PutLogEvents,
            on=[_log_group(site.cluster.exec_log_group_name)],
        ),
        # The agent in the container calls KMS itself, so no service is on the way:
        # the session's own encryption context binds it instead.
        _allow(
            awacs.kms.Decrypt,
            on=[site.guard.key_arn],
            when=[
                StringLike(
                    "kms:EncryptionContext:aws:ssm:TargetId",
                    Sub("ecs:${Cluster}_*", Cluster=site.cluster.name),
                )
            ],
        ),
    )


def gate_policy(
    site: Site,
    *,
    task_definition_arn: AWSHelperFn,
    task_log_group_arn: AWSHelperFn,
    log_group_arn: AWSHelperFn,
    role_arns: Resources,
) -> PolicyDocument:
    """Return what the function behind the migration job may do: run its one task."""
    ours = [in_cluster(site)]
    return _policy(
        _allow(awacs.ecs.RunTask, on=[task_definition_arn], when=ours),
        _allow(
            awacs.ecs.DescribeTasks,
            awacs.ecs.StopTask,
            on=[tasks_of(site)],
            when=ours,
        ),
        _allow(
            awacs.iam.PassRole,
            on=role_arns,
            when=[StringEquals("iam:PassedToService", TASKS)],
        ),
        # The reason of a failure is in the task's log, and goes to the stack event.
        _allow(awacs.logs.GetLogEvents, on=[task_log_group_arn]),
        # A rollback must not run the older Airflow's migrations.
        _allow(awacs.cloudformation.DescribeStacks, on=[StackId]),
        _allow(awacs.logs.CreateLogStream, awacs.logs.PutLogEvents, on=[log_group_arn]),
    )


def invoke_policy(function_arn: AWSHelperFn) -> PolicyDocument:
    """Return the right to call one function."""
    return _policy(_allow(awacs.awslambda.InvokeFunction, on=[function_arn]))


def tasks_of(site: Site) -> Sub:
    """Return the ARN of every task in the cluster."""
    return Sub(
        "arn:${AWS::Partition}:ecs:${AWS::Region}:${AWS::AccountId}:task/${Cluster}/*",
        Cluster=site.cluster.name,
    )


def services_of(site: Site) -> Sub:
    """Return the ARN of every service in the cluster."""
    arn = "arn:${AWS::Partition}:ecs:${AWS::Region}:${AWS::AccountId}:service/"
    return Sub(arn + "${Cluster}/*", Cluster=site.cluster.name)


def _bonds(grant: Grant, site: Site) -> list[ConditionElement]:
    found: list[ConditionElement] = []
    if grant.kms_by_way_of:
        found.append(_via(grant.kms_by_way_of))
    if grant.bond:
        found.append(grant.bond(site))
    return found


def _policy(*statements: Statement) -> PolicyDocument:
    return PolicyDocument(Version=VERSION, Statement=list(statements))


def _allow(
    *actions: Action, on: Sequence[Any], when: Sequence[ConditionElement] = ()
) -> Statement:
    condition = {"Condition": Condition(list(when))} if when else {}
    return Statement(Effect=Allow, Action=list(actions), Resource=list(on), **condition)


def _via(service: str) -> StringEquals:
    return StringEquals(
        "kms:ViaService", Sub(f"{service}.${{AWS::Region}}.${{AWS::URLSuffix}}")
    )


def _bucket(name: AWSHelperFn) -> Sub:
    return Sub("arn:${AWS::Partition}:s3:::${Bucket}", Bucket=name)


def _objects(bucket: AWSHelperFn, folder: str = "") -> Sub:
    return Sub(f"arn:${{AWS::Partition}}:s3:::${{Bucket}}/{folder}*", Bucket=bucket)


def _logs(site: Site) -> Sub:
    return _objects(known(site.storage).log_bucket_name, f"{LOG_FOLDER}/")


def _log_group(name: AWSHelperFn | None = None) -> Sub:
    """Return one log group's ARN, or that of all."""
    arn = "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:"
    return Sub(arn + "${Group}:*", Group=name) if name else Sub(arn + "*")
