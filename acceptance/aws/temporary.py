"""Everything that ``verify`` makes in a launched environment, and its removal."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

import requests
from botocore.exceptions import BotoCoreError, ClientError

from acceptance.api import ApiError, api
from acceptance.aws.environment import CANARY, AwsEnvironment, is_reachable
from acceptance.check import CheckFailed, Pending, until
from acceptance.checks import dags
from acceptance.relay import RelayError, S3Relay, erase
from cli.errors import Failure, Problem, Refused
from fargate_runtime.contract import Env

RELAY_START_SECONDS = 300.0
RELAY_STOP_SECONDS = 60.0
STARTED_BY = "verify"
"""ECS takes letters, digits, hyphens, slashes and underscores."""

STALE_SECONDS = 240.0
"""Until Airflow has seen that DAG files are gone: the bundle is read every minute."""

RUNNING_FOR = timedelta(hours=1)
"""A canary file older than this was left by a ``verify`` that was killed."""

NOT_FOUND = 404

ERRORS = (
    *(ApiError, CheckFailed, Failure, RelayError),
    *(requests.RequestException, BotoCoreError, ClientError),
)
"""What may prevent a removal."""

Tell = Callable[[str], None]


@dataclass
class Temporary:
    """Files, DAGs, logs and the relay task of one ``verify``; removed at the end.

    ``left`` says what could not be removed, and how to remove it.
    """

    environment: AwsEnvironment
    tell: Tell
    left: list[str] = field(default_factory=list)
    relay_seconds: float = 0.0
    relay_requests: int = 0
    _relay: S3Relay | None = None
    _task: str = ""
    _started: float = 0.0
    _has_dags: bool = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.remove()
        if error:
            for text in self.left:
                self.tell(f"NOT REMOVED: {text}")

    def check_alone(self) -> None:
        """Raise Refused while another ``verify`` of the environment runs."""
        bucket = self.environment.outputs["DagBucketName"]
        listed = self.environment.aws.call(
            "s3", "list_objects_v2", bucket, Bucket=bucket, Prefix=CANARY
        )
        newest = max(
            (entry["LastModified"] for entry in listed.get("Contents", ())),
            default=None,
        )
        if newest and datetime.now(UTC) - newest < RUNNING_FOR:
            raise Refused(
                Problem(
                    where=f"s3://{bucket}/{CANARY}",
                    what="Another verify of this environment runs, or one was killed "
                    f"after {newest:%H:%M} UTC.",
                    remedy="Wait for it; or remove the files: aws s3 rm --recursive "
                    f"s3://{bucket}/{CANARY}.",
                )
            )

    # The relay.

    def reach(self, *, by_relay: bool) -> str:
        """Start the relay where this machine does not reach the listener, or if asked.

        Returns how the listener is reached. Raises CheckFailed.
        """
        environment = self.environment
        if not by_relay and is_reachable(environment.url):
            return f"{environment.url} from this machine"
        self._start_relay()
        environment.relay = self._relay
        return f"{environment.url} by the relay task {self._task.rpartition('/')[2]}"

    def _start_relay(self) -> None:
        environment, aws = self.environment, self.environment.aws
        definition = environment.id_of("AirflowServices/VerificationDefinition")
        run = f"{environment.name}-{secrets.token_hex(8)}"
        _, password = environment.admin
        # Known before the task starts, so that it is removed in any case.
        self._relay = S3Relay(
            environment.client("s3"),
            environment.outputs["LogBucketName"],
            run,
            password,
        )
        cluster = environment.outputs["ClusterName"]
        answer = aws.call(
            "ecs",
            "run_task",
            definition,
            cluster=cluster,
            taskDefinition=definition,
            launchType="FARGATE",
            propagateTags="TASK_DEFINITION",
            enableECSManagedTags=True,
            startedBy=STARTED_BY,
            networkConfiguration={
                "awsvpcConfiguration": {
                    "subnets": _subnets(environment),
                    "securityGroups": [environment.id_of("Security/Verification")],
                    "assignPublicIp": "DISABLED",
                }
            },
            overrides={
                "containerOverrides": [
                    {
                        "name": "verification",
                        "environment": [{"name": Env.RELAY_RUN, "value": run}],
                    }
                ]
            },
        )
        if not answer["tasks"]:
            raise CheckFailed(f"ECS starts no relay task: {answer['failures']}.")
        self._task, self._started = answer["tasks"][0]["taskArn"], time.monotonic()
        until(
            "the relay task to run",
            lambda: self._is_running(cluster),
            seconds=RELAY_START_SECONDS,
            remedy=environment.logs("verification"),
            pause=1.0,
        )

    def _is_running(self, cluster: str) -> bool | Pending:
        task = self._described(cluster)
        if task["lastStatus"] in {"STOPPED", "DEPROVISIONING", "STOPPING"}:
            reasons = [
                str(container.get("reason") or container.get("exitCode"))
                for container in task["containers"]
            ]
            raise CheckFailed(
                f"The relay task ended: {task.get('stoppedReason', '')} "
                f"({', '.join(reasons)}).",
                self.environment.logs("verification"),
            )
        return task["lastStatus"] == "RUNNING" or Pending(task["lastStatus"])

    def _described(self, cluster: str) -> dict[str, Any]:
        (task,) = self.environment.aws.call(
            "ecs", "describe_tasks", self._task, cluster=cluster, tasks=[self._task]
        )["tasks"]
        description: dict[str, Any] = task
        return description

    # The canary.

    def put_dags(self) -> str:
        """Upload the DAG files of the checks; return when Airflow knows their DAGs."""
        self._has_dags = True
        return dags.picked_up(self.environment)

    # Removal.

    def remove(self) -> None:
        """Remove everything; what cannot be removed is in ``left``."""
        if self._has_dags:
            self.tell("Removing the DAGs of the checks ...")
            self._try(
                f"the DAG files: aws s3 rm --recursive s3://"
                f"{self.environment.outputs['DagBucketName']}/{CANARY}",
                self._remove_files,
            )
            self._try(
                f"the DAGs {', '.join(dags.ALL)}: delete them in the Airflow UI",
                self._remove_dags,
            )
            self._try("the logs of these DAGs, which expire", self._remove_logs)
            self._has_dags = False
        if self._relay:
            self.tell("Stopping the relay ...")
            self._try(f"the task {self._task}, which ends by itself", self._stop_relay)
            folder = self._relay.folder
            self._try(
                f"encrypted objects below {folder}/ in the log bucket, which expire",
                lambda: self._erase("LogBucketName", f"{folder}/"),
            )
            self._relay = self.environment.relay = None

    def _try(self, what: str, remove: Callable[[], None]) -> None:
        """Remove something; another Ctrl-C leaves it and goes on to the next."""
        try:
            remove()
        except KeyboardInterrupt:
            self.left.append(f"{what} (interrupted)")
        except ERRORS as error:
            self.left.append(f"{what} ({error})")

    def _remove_files(self) -> None:
        self._erase("DagBucketName", CANARY)

    def _remove_dags(self) -> None:
        airflow = api(self.environment)
        for dag_id in dags.ALL:

            def is_stale(dag_id: str = dag_id) -> bool | Pending:
                try:
                    dag = airflow.dag(dag_id)
                except ApiError as error:
                    if error.status == NOT_FOUND:
                        return True
                    raise
                return bool(dag.get("is_stale")) or Pending("it is still active")

            until(
                f"Airflow to see that {dag_id} is gone",
                is_stale,
                seconds=STALE_SECONDS,
                remedy=self.environment.logs("dag-processor"),
                pause=2.0,
            )
            try:
                airflow.delete(f"/dags/{dag_id}")
            except ApiError as error:
                if error.status != NOT_FOUND:
                    raise

    def _remove_logs(self) -> None:
        for dag_id in dags.ALL:
            self._erase("LogBucketName", f"logs/dag_id={dag_id}/")

    def _stop_relay(self) -> None:
        relay, environment = self._relay, self.environment
        if relay is None or not self._task:
            return
        relay.end()
        self.relay_requests = relay.requests
        cluster = environment.outputs["ClusterName"]
        try:
            until(
                "the relay task to end",
                lambda: (
                    self._described(cluster)["lastStatus"] == "STOPPED"
                    or Pending("it runs")
                ),
                seconds=RELAY_STOP_SECONDS,
                remedy="",
                pause=1.0,
            )
        except CheckFailed:
            environment.aws.call(
                "ecs",
                "stop_task",
                self._task,
                cluster=cluster,
                task=self._task,
                reason="build.py verify has ended.",
            )
        self.relay_seconds = time.monotonic() - self._started

    def _erase(self, bucket_output: str, prefix: str) -> None:
        bucket = self.environment.outputs[bucket_output]
        erase(self.environment.client("s3"), bucket, prefix)


def _subnets(environment: AwsEnvironment) -> list[str]:
    """Return the subnets of the tasks."""
    service = environment.services()[0]
    subnets: list[str] = service["networkConfiguration"]["awsvpcConfiguration"][
        "subnets"
    ]
    return subnets
