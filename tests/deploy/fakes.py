"""A fake account with the answers of a test, and a dist/ to deploy."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cli.errors import AwsError, Problem
from deploy.aws import Aws
from deploy.dist import Dist, digest
from deploy.planning import PollInterval

ACCOUNT = "111122223333"
REGION = "eu-central-1"
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)

AT_ONCE = PollInterval(0, 0, lambda _seconds: None)
"""Tests do not wait."""

Answer = Mapping[str, Any] | Exception | Callable[..., Any]


class FakeAws(Aws):
    """An account of which only the answers exist: the one thing that tests fake."""

    def __init__(self, **answers: Answer | Sequence[Answer]) -> None:
        super().__init__(region=REGION)
        self.answers: dict[str, Any] = dict(answers)
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self._identity = {
            "Account": ACCOUNT,
            "Arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/Operator/me",
        }

    def call(
        self, service: str, operation: str, _resource: str = "", /, **parameters: Any
    ) -> dict[str, Any]:
        self.calls[f"{service}:{operation}"] += 1
        self.requests.append((operation, parameters))
        answer = self.answers[operation]
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if callable(answer):
            answer = answer(**parameters)
        if isinstance(answer, Exception):
            raise answer
        result: dict[str, Any] = dict(answer)
        return result

    def parameters(self, operation: str) -> list[dict[str, Any]]:
        return [parameters for name, parameters in self.requests if name == operation]


def error(code: str, message: str) -> AwsError:
    return AwsError(Problem(where="AWS", what=message), code=code, message=message)


def stack_id(name: str) -> str:
    return f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{name}/0-0-0"


def row(
    second: float,
    stack: str,
    logical_id: str,
    status: str,
    *,
    type: str = "AWS::S3::Bucket",
    physical_id: str = "",
    reason: str = "",
) -> dict[str, Any]:
    """One row of DescribeStackEvents; the stack's own when it names the stack."""
    own = logical_id == stack
    event = {
        "StackId": stack_id(stack),
        "StackName": stack,
        "EventId": f"{stack}-{logical_id}-{status}-{second}",
        "LogicalResourceId": logical_id,
        "PhysicalResourceId": stack_id(stack) if own else physical_id,
        "ResourceType": "AWS::CloudFormation::Stack" if own else type,
        "ResourceStatus": status,
        "Timestamp": BEGINNING + timedelta(seconds=second),
    }
    return {**event, "ResourceStatusReason": reason} if reason else event


def nested(
    second: float,
    stack: str,
    logical_id: str,
    status: str,
    *,
    child: str,
    reason: str = "",
) -> dict[str, Any]:
    return row(
        second,
        stack,
        logical_id,
        status,
        type="AWS::CloudFormation::Stack",
        physical_id=stack_id(child),
        reason=reason,
    )


def histories(*rows: dict[str, Any]) -> Callable[..., dict[str, Any]]:
    """Answer DescribeStackEvents by stack, the newest row first."""

    def answer(StackName: str, **_rest: Any) -> dict[str, Any]:  # noqa: N803 - AWS's
        mine = [r for r in rows if StackName in (r["StackId"], r["StackName"])]
        return {"StackEvents": mine[::-1]}

    return answer


def described(name: str, status: str, **more: Any) -> dict[str, Any]:
    return {
        "Stacks": [
            {
                "StackId": stack_id(name),
                "StackName": name,
                "StackStatus": status,
                "CreationTime": BEGINNING,
                **more,
            }
        ]
    }


def template(**resources: Any) -> dict[str, Any]:
    return {"Resources": resources}


def nest(path: str, **parameters: Any) -> dict[str, Any]:
    return {
        "Type": "AWS::CloudFormation::Stack",
        "Metadata": {"Purpose": f"Sentence of {path}."},
        "Properties": {"TemplateURL": path, "Parameters": parameters},
    }


def bucket(**more: Any) -> dict[str, Any]:
    return {
        "Type": "AWS::S3::Bucket",
        "Metadata": {"Purpose": "Holds the data."},
        "DeletionPolicy": "Retain",
        "UpdateReplacePolicy": "Retain",
        **more,
    }


PARENT = {
    "Parameters": {
        "DeletionProtection": {"Type": "String", "Default": "true"},
        "Size": {"Type": "String", "Default": "1"},
    },
    "Resources": {
        "Network": nest("network.template.json"),
        "Storage": nest(
            "storage.template.json",
            VpcId={"Fn::GetAtt": ["Network", "Outputs.VpcId"]},
            Size={"Ref": "Size"},
        ),
    },
}
NETWORK = {
    **template(
        Vpc={"Type": "AWS::EC2::VPC", "Metadata": {"Purpose": "Where all of it lives."}}
    ),
    "Outputs": {"VpcId": {"Value": {"Ref": "Vpc"}}},
}
STORAGE = {
    "Parameters": {"Size": {"Type": "String"}, "VpcId": {"Type": "String"}},
    **template(
        Data=bucket(),
        Code={
            "Type": "AWS::Lambda::Function",
            "Properties": {
                "Code": {
                    "S3Bucket": "bucket-named-at-publish",
                    "S3Key": "assets/runtime.zip",
                },
                "Description": "assets/runtime.zip is in bucket-named-at-publish.",
            },
        },
    ),
}
CATALOG = {
    "Parameters": {
        "FirstVersionName": {"Type": "String", "Default": "v1"},
        "FirstVersionUrl": {"Type": "String", "Default": "parent.template.json"},
        "LauncherArn": {"Type": "String", "Default": ""},
    },
    "Resources": {
        "Portfolio": {
            "Type": "AWS::ServiceCatalog::Portfolio",
            "Metadata": {"Purpose": "Users find it here."},
        }
    },
}
DEV = {
    "Parameters": {"DeletionProtection": "false", "Size": "1"},
    "Tags": {"environment": "dev"},
}
PROD = {"Parameters": {"Size": "9"}, "Tags": {}}

FILES: Mapping[str, Any] = {
    "parent.template.json": PARENT,
    "network.template.json": NETWORK,
    "storage.template.json": STORAGE,
    "service-catalog.template.json": CATALOG,
    "parameters/dev/codepipeline.json": DEV,
    "parameters/prod/codepipeline.json": PROD,
    "assets/runtime.zip": b"runtime",
}


def write(folder: Path, files: Mapping[str, Any] = FILES) -> Path:
    """Write a dist/ as a build does."""
    folder.mkdir(exist_ok=True)
    contents = {
        path: held if isinstance(held, bytes) else json.dumps(held).encode()
        for path, held in files.items()
    }
    for path, content in contents.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    manifest = {
        "inputs": "x",
        "files": {path: digest(content) for path, content in contents.items()},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def dist(files: Mapping[str, Any] = FILES) -> Dist:
    return Dist(
        Path("dist"),
        {
            path: held if isinstance(held, bytes) else json.dumps(held).encode()
            for path, held in files.items()
        },
    )
