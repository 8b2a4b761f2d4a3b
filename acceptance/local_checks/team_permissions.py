"""Two pools on AWS: what one pool's own lists allow is refused to the other."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from acceptance.check import CheckFailed
from local.environment import LocalEnvironment

POLICY = "verify-team"
BUCKET, KEY = "verify-team-data", "report.txt"
CONTENT = b"for the default pool"
OBJECT_ARN = f"arn:aws:s3:::{BUCKET}/{KEY}"
ROLE_ARN = "arn:aws:iam::111122223333:role/verify-team-reader"
"""A role of another account. Whether it trusts the pool is that account's matter."""

POLICIES = {
    POLICY: {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": "s3:GetObject", "Resource": OBJECT_ARN}
        ],
    }
}
"""Managed policies of the operator, which must be there before the launch."""

PARAMETERS = {
    "DefaultWorkersExtraPolicyArns": f"<{POLICY}>",
    "DefaultWorkersAssumableRoleArns": ROLE_ARN,
}

REFUSED = (OBJECT_ARN, ROLE_ARN)
"""What another pool is refused on purpose."""

ACTIONS = ("reads the object", "assumes the role")
DENIED = ("AccessDenied", "AccessDeniedException")


def separated(environment: LocalEnvironment) -> str:
    """Read an object and assume a role with the task role of each pool."""
    admin = environment.client("s3")
    place = {"LocationConstraint": environment.agent.settings.region}
    admin.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=place)
    admin.put_object(Bucket=BUCKET, Key=KEY, Body=CONTENT)
    outputs = environment.outputs
    done = {
        pool: _done(environment, outputs[f"{pool}WorkersTaskRoleArn"])
        for pool in ("Default", "Spot")
    }
    expected: dict[str, tuple[str, ...]] = {"Default": ACTIONS, "Spot": ()}
    if done != expected:
        raise CheckFailed(
            "; ".join(f"{pool}: {', '.join(done[pool]) or 'nothing'}" for pool in done),
            "Only the default pool may do both. Look at DagPermissions in "
            "templates/parent.py and at the roles in templates/airflow/fargate.py.",
        )
    return "the default pool reads its object and assumes its role; spot does neither"


def _done(environment: LocalEnvironment, role_arn: str) -> tuple[str, ...]:
    """Return what succeeds with a role; whatever fails must be a refusal."""
    issued = environment.agent.credentials.issue(role_arn, "team permissions")
    session = boto3.Session(
        aws_access_key_id=issued.access_key,
        aws_secret_access_key=issued.secret_key,
        aws_session_token=issued.token,
        region_name=environment.agent.settings.region,
    )

    def client(service: str) -> Any:
        config = Config(s3={"addressing_style": "path"})
        url = environment.agent.url
        return session.client(service, endpoint_url=url, config=config)

    def read() -> bool:
        answer = client("s3").get_object(Bucket=BUCKET, Key=KEY)
        return bool(answer["Body"].read() == CONTENT)

    def assume() -> bool:
        answer = client("sts").assume_role(RoleArn=ROLE_ARN, RoleSessionName="verify")
        return bool(answer["Credentials"]["AccessKeyId"])

    done = []
    for action, attempt in zip(ACTIONS, (read, assume), strict=True):
        try:
            if attempt():
                done.append(action)
        except ClientError as error:
            if error.response["Error"]["Code"] not in DENIED:
                raise
    return tuple(done)
