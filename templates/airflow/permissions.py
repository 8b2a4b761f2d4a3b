"""IAM permissions of the components: a table of grants, and the policies of roles.

A task has two roles. Fargate starts it with the execution role: pulls the image,
writes the log, reads exactly the component's secrets. Its code runs with the task
role, in a worker, the DAG processor and the triggerer the code of DAG authors: so these
roles read no secret at all, unless operators allow it to the latter two. That of the
API server reads the connections and variables below ``SecretsPrefix``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic

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
import awacs.sts
from awacs.aws import (
    Action,
    Allow,
    ArnEquals,
    ConditionElement,
    PolicyDocument,
    Statement,
    StringEquals,
    StringLike,
)
from troposphere import AWSHelperFn, StackId, Sub

from compiler.policy_conditions import all_of
from compiler.values import ASSET_FOLDER
from fargate_runtime import contract
from templates.airflow.components import (
    ALL,
    API_SERVER,
    AUTOSCALER,
    COMMAND,
    DAG_PROCESSOR,
    TRIGGERER,
    VERIFICATION,
    WORKER,
    AnyComponent,
    Component,
    Context,
    only,
)
from templates.airflow.contexts import TaskInputs
from templates.airflow.environment import LOG_FOLDER
from templates.airflow.platform import Platform
from templates.resources.image_repository import repository_arn
from templates.types import RoleArns

VERSION = "2012-10-17"
TASKS = "ecs-tasks.amazonaws.com"

Resources = Sequence[AWSHelperFn | str]


@dataclass(frozen=True)
class Grant(Generic[Context]):
    """Actions that the code of some components may call."""

    actions: tuple[Action, ...]
    resources: Callable[[Context], Resources]
    components: frozenset[Component[Context]]
    why: str
    kms_via: str = ""
    """The one service through which a KMS key may be used."""
    conditions: tuple[Callable[[Context], ConditionElement], ...] = ()
    """Further restrictions, or the only ones where the action has no resource."""

    def statement(self, inputs: Context) -> Statement:
        """Return the grant in a template with these inputs."""
        conditions = [condition(inputs) for condition in self.conditions]
        if self.kms_via:
            conditions.append(_via(self.kms_via))
        return _allow(*self.actions, on=self.resources(inputs), when=conditions)


READS_DAGS = only(DAG_PROCESSOR, WORKER, COMMAND)
READS_LOGS = only(API_SERVER, TRIGGERER, WORKER)
WRITES_LOGS = only(TRIGGERER, WORKER)


def _in_cluster(inputs: TaskInputs) -> ArnEquals:
    return ArnEquals("ecs:cluster", inputs.platform.cluster.arn)


# Without a type, so that mypy infers each row's context from its components.
_ROWS = (
    Grant(
        (awacs.s3.GetObject,),
        lambda inputs: [_objects(inputs.platform.runtime.bucket, ASSET_FOLDER)],
        ALL,
        "The bootstrap downloads the runtime archive. All versions of it, not one key: "
        "an update changes the policies first, and until it has ended ECS may have to "
        "start a task of the older revision.",
    ),
    Grant(
        (awacs.s3.ListBucket,),
        lambda inputs: [
            _bucket(inputs.platform.buckets.dag_bucket_name),
            _bucket(inputs.platform.buckets.release_bucket_name),
        ],
        READS_DAGS,
        "A bundle of files checks that its bucket exists, and lists it. Without this "
        "right a bundle without a release would look forbidden.",
    ),
    Grant(
        (awacs.s3.GetObject,),
        lambda inputs: [
            _objects(inputs.platform.buckets.dag_bucket_name),
            _objects(inputs.platform.buckets.release_bucket_name),
        ],
        READS_DAGS,
        "Bundles copy files and archives. No component may write them.",
    ),
    Grant(
        (awacs.s3.ListBucket,),
        lambda inputs: [_bucket(inputs.platform.buckets.log_bucket_name)],
        READS_LOGS,
        "The logs of a task instance are found by prefix; without this right a missing "
        "one would look forbidden.",
    ),
    Grant(
        (awacs.s3.GetObject,),
        lambda inputs: [_logs(inputs.platform)],
        READS_LOGS,
        "The UI shows them; a second attempt at an upload appends to the first.",
    ),
    Grant(
        (awacs.s3.PutObject,),
        lambda inputs: [_logs(inputs.platform)],
        WRITES_LOGS,
        "A log is uploaded when its task or trigger ends.",
    ),
    Grant(
        (awacs.s3.ListBucket,),
        lambda inputs: [_bucket(inputs.platform.buckets.log_bucket_name)],
        only(VERIFICATION),
        "The relay looks for new requests, below its own prefix.",
        conditions=(lambda _: StringLike("s3:prefix", f"{contract.RELAY_FOLDER}/*"),),
    ),
    Grant(
        (awacs.s3.GetObject, awacs.s3.PutObject),
        lambda inputs: [
            _objects(
                inputs.platform.buckets.log_bucket_name, f"{contract.RELAY_FOLDER}/"
            )
        ],
        only(VERIFICATION),
        "It reads requests and writes responses; it deletes none.",
    ),
    Grant(
        (awacs.kms.Decrypt,),
        lambda inputs: [inputs.platform.key_arn],
        READS_DAGS | READS_LOGS | only(VERIFICATION),
        "The objects are encrypted.",
        kms_via="s3",
    ),
    Grant(
        (awacs.kms.GenerateDataKey,),
        lambda inputs: [inputs.platform.key_arn],
        WRITES_LOGS | only(VERIFICATION),
        "New objects are encrypted too.",
        kms_via="s3",
    ),
    Grant(
        (awacs.ecs.UpdateTaskProtection,),
        lambda inputs: [_tasks_of(inputs.platform)],
        only(WORKER),
        "A worker protects itself from scale-in, and ends that when it is drained. DAG "
        "code has this role too: it reaches no task but those of the own pool, which "
        "carry the tag of their service.",
        conditions=(
            _in_cluster,
            lambda inputs: StringEquals(
                f"aws:ResourceTag/{contract.POOL_TAG}", inputs.pool.name
            ),
        ),
    ),
    Grant(
        (awacs.cloudwatch.PutMetricData,),
        lambda _: ["*"],
        only(AUTOSCALER),
        "It publishes the metrics that pools scale by, in one namespace.",
        conditions=(
            lambda _: StringEquals("cloudwatch:namespace", contract.METRIC_NAMESPACE),
        ),
    ),
    Grant(
        (awacs.ecs.ListServices,),
        lambda _: ["*"],
        only(AUTOSCALER),
        "It finds the pools' services by their tag; the action has no resource.",
        conditions=(_in_cluster,),
    ),
    Grant(
        (awacs.ecs.DescribeServices,),
        lambda inputs: [_services_of(inputs.platform)],
        only(AUTOSCALER),
        "It reads the desired and running counts of workers, and their deployment.",
        conditions=(_in_cluster,),
    ),
    Grant(
        (awacs.ecs.DescribeTasks,),
        lambda inputs: [_tasks_of(inputs.platform)],
        only(AUTOSCALER),
        "It reads which deployment started a worker: older ones are replaced.",
        conditions=(_in_cluster,),
    ),
)
GRANTS: tuple[Grant[Any], ...] = _ROWS
"""Everything that code in a task may do, beside the policies that operators attach."""


def task_policy(
    containers: Iterable[AnyComponent], inputs: TaskInputs
) -> PolicyDocument:
    """Return the policy of a task role, which the containers of a task share."""
    components = frozenset(containers)
    return _policy(
        *(grant.statement(inputs) for grant in GRANTS if components & grant.components)
    )


def execution_policy(
    platform: Platform, *, log_group_arn: AWSHelperFn, secret_arns: Resources
) -> PolicyDocument:
    """Return the policy with which Fargate starts a task: its log and secrets."""
    return _policy(
        _allow(awacs.logs.CreateLogStream, awacs.logs.PutLogEvents, on=[log_group_arn]),
        _allow(awacs.secretsmanager.GetSecretValue, on=secret_arns),
        _allow(awacs.kms.Decrypt, on=[platform.key_arn], when=[_via("secretsmanager")]),
    )


def fernet_policy(platform: Platform) -> PolicyDocument:
    """Return the policy to decrypt the operator's Fernet secret, and nothing else.

    Its KMS key may be any of the account, such as another environment's. Secrets
    Manager names the secret in the encryption context of each call to KMS.
    """
    return _policy(
        _allow(
            awacs.kms.Decrypt,
            on=[
                Sub("arn:${AWS::Partition}:kms:${AWS::Region}:${AWS::AccountId}:key/*")
            ],
            when=[
                _via("secretsmanager"),
                # Another operator than StringEquals, which a policy names once.
                ArnEquals(
                    "kms:EncryptionContext:SecretARN",
                    platform.secrets.existing_fernet_secret_arn,
                ),
            ],
        ),
    )


def pull_policy(platform: Platform) -> PolicyDocument:
    """Return the policy with which Fargate pulls an image from ECR, and no other.

    An update that names another repository changes it before the services: a task of
    the older revision that starts in the seconds between cannot pull its image.
    """
    return _policy(
        # It has no resource form, and returns a token of the caller only.
        _allow(awacs.ecr.GetAuthorizationToken, on=["*"]),
        # The first pull through a cache copies the image, into a repository that may
        # not exist yet.
        _allow(
            awacs.ecr.BatchCheckLayerAvailability,
            awacs.ecr.BatchGetImage,
            awacs.ecr.BatchImportUpstreamImage,
            awacs.ecr.CreateRepository,
            awacs.ecr.GetDownloadUrlForLayer,
            on=[repository_arn(platform.image)],
        ),
    )


def exec_policy(platform: Platform) -> PolicyDocument:
    """Return the policy for a shell or a forwarded port in a task."""
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
            on=[_log_group(platform.cluster.exec_log_group_name)],
        ),
        # The agent in the container calls KMS itself and not via a service, so the
        # session's own encryption context restricts it instead.
        _allow(
            awacs.kms.Decrypt,
            on=[platform.key_arn],
            when=[
                StringLike(
                    "kms:EncryptionContext:aws:ssm:TargetId",
                    Sub("ecs:${Cluster}_*", Cluster=platform.cluster.name),
                )
            ],
        ),
    )


def assume_policy(role_arns: RoleArns) -> PolicyDocument:
    """Return the policy to assume the operator's roles, each by its exact ARN."""
    return _policy(
        Statement(Effect=Allow, Action=[awacs.sts.AssumeRole], Resource=role_arns.data)
    )


def secrets_policy(platform: Platform) -> PolicyDocument:
    """Return the policy to read the connections and variables below the prefix."""
    return _policy(
        _allow(
            awacs.secretsmanager.GetSecretValue,
            on=[
                Sub(
                    "arn:${AWS::Partition}:secretsmanager:${AWS::Region}"
                    f":${{AWS::AccountId}}:secret:${{Prefix}}/{folder}/*",
                    Prefix=platform.settings.secrets_prefix,
                )
                for folder in (contract.CONNECTIONS_FOLDER, contract.VARIABLES_FOLDER)
            ],
        ),
        # build.py connections encrypts them with the stack's key.
        _allow(awacs.kms.Decrypt, on=[platform.key_arn], when=[_via("secretsmanager")]),
    )


def migration_function_policy(
    inputs: TaskInputs,
    *,
    task_definition_arn: AWSHelperFn,
    task_log_group_arn: AWSHelperFn,
    log_group_arn: AWSHelperFn,
    role_arns: Resources,
) -> PolicyDocument:
    """Return the policy of the function that runs the migration job."""
    in_cluster = [_in_cluster(inputs)]
    return _policy(
        _allow(awacs.ecs.RunTask, on=[task_definition_arn], when=in_cluster),
        _allow(
            awacs.ecs.DescribeTasks,
            awacs.ecs.StopTask,
            on=[_tasks_of(inputs.platform)],
            when=in_cluster,
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
    """Return a policy to call one function."""
    return _policy(_allow(awacs.awslambda.InvokeFunction, on=[function_arn]))


def _tasks_of(platform: Platform) -> Sub:
    return Sub(
        "arn:${AWS::Partition}:ecs:${AWS::Region}:${AWS::AccountId}:task/${Cluster}/*",
        Cluster=platform.cluster.name,
    )


def _services_of(platform: Platform) -> Sub:
    arn = "arn:${AWS::Partition}:ecs:${AWS::Region}:${AWS::AccountId}:service/"
    return Sub(arn + "${Cluster}/*", Cluster=platform.cluster.name)


def _policy(*statements: Statement) -> PolicyDocument:
    return PolicyDocument(Version=VERSION, Statement=list(statements))


def _allow(
    *actions: Action, on: Sequence[Any], when: Sequence[ConditionElement] = ()
) -> Statement:
    condition = {"Condition": all_of(when)} if when else {}
    return Statement(Effect=Allow, Action=list(actions), Resource=list(on), **condition)


def _via(service: str) -> StringEquals:
    return StringEquals(
        "kms:ViaService", Sub(f"{service}.${{AWS::Region}}.${{AWS::URLSuffix}}")
    )


def _bucket(name: AWSHelperFn) -> Sub:
    return Sub("arn:${AWS::Partition}:s3:::${Bucket}", Bucket=name)


def _objects(bucket: AWSHelperFn, folder: str = "") -> Sub:
    return Sub(f"arn:${{AWS::Partition}}:s3:::${{Bucket}}/{folder}*", Bucket=bucket)


def _logs(platform: Platform) -> Sub:
    return _objects(platform.buckets.log_bucket_name, f"{LOG_FOLDER}/")


def _log_group(name: AWSHelperFn | None = None) -> Sub:
    """Return one log group's ARN, or that of all."""
    arn = "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:"
    return Sub(arn + "${Group}:*", Group=name) if name else Sub(arn + "*")
