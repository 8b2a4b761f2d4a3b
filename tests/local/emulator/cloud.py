"""A client of the emulator for tests: creates stacks and waits for their outcome."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config

from local.emulator.process import ClientOptions, EmulatorProcess

PATIENCE = 120.0
"""Seconds; for a busy machine."""
IAM = ("CAPABILITY_NAMED_IAM",)


@dataclass(frozen=True)
class Stack:
    """A stack and its status."""

    id: str
    name: str
    status: str
    outputs: Mapping[str, str]


class Cloud:
    """Calls of a test to the emulator."""

    def __init__(self, emulator: EmulatorProcess) -> None:
        self.emulator = emulator
        self.options: ClientOptions = emulator.client_options
        self.bucket = f"templates-{uuid.uuid4().hex[:12]}"
        self.cloudformation = self.client("cloudformation")
        self.s3 = self.client("s3")
        self.s3.create_bucket(Bucket=self.bucket)

    def client(self, service: str, **more: Any) -> Any:
        """Return a client that fails at once instead of trying again."""
        settings = Config(retries={"max_attempts": 0}, read_timeout=PATIENCE)
        return boto3.client(service, **{**self.options, **more}, config=settings)

    def publish(self, template: Mapping[str, Any], key: str = "") -> str:
        """Upload a template; return its URL."""
        key = key or f"{uuid.uuid4().hex}.json"
        self.s3.put_object(
            Bucket=self.bucket, Key=key, Body=json.dumps(template).encode()
        )
        return f"https://{self.bucket}.s3.us-east-1.amazonaws.com/{key}"

    def create(
        self, template: Mapping[str, Any], name: str = "", **parameters: str
    ) -> Stack:
        """Create a stack and wait until it is settled."""
        answer = self.cloudformation.create_stack(
            StackName=name or f"test-{uuid.uuid4().hex[:8]}",
            TemplateURL=self.publish(template),
            Parameters=_parameters(parameters),
            Capabilities=IAM,
        )
        return self.settled(answer["StackId"])

    def update(
        self, stack: Stack, template: Mapping[str, Any], **parameters: str
    ) -> Stack:
        """Update a stack and wait until it is settled."""
        self.cloudformation.update_stack(
            StackName=stack.name,
            TemplateURL=self.publish(template),
            Parameters=_parameters(parameters),
            Capabilities=IAM,
        )
        return self.settled(stack.id)

    def delete(self, stack: Stack) -> Stack:
        """Delete a stack and wait until it is settled."""
        self.cloudformation.delete_stack(StackName=stack.name)
        return self.settled(stack.id)

    def settled(self, stack_id: str) -> Stack:
        """Wait until no operation runs in a stack; return it."""
        deadline = time.monotonic() + PATIENCE
        while True:
            (stack,) = self.cloudformation.describe_stacks(StackName=stack_id)["Stacks"]
            if not stack["StackStatus"].endswith("_IN_PROGRESS"):
                return Stack(
                    id=stack["StackId"],
                    name=stack["StackName"],
                    status=stack["StackStatus"],
                    outputs={
                        output["OutputKey"]: output["OutputValue"]
                        for output in stack.get("Outputs", ())
                    },
                )
            assert time.monotonic() < deadline, stack["StackStatus"]
            time.sleep(0.01)

    def events(self, stack_id: str) -> list[dict[str, Any]]:
        """Return what happened to a stack, the first event first."""
        pages = self.cloudformation.get_paginator("describe_stack_events")
        events = [
            event
            for page in pages.paginate(StackName=stack_id)
            for event in page["StackEvents"]
        ]
        return events[::-1]

    def story(self, stack_id: str) -> list[tuple[str, str]]:
        """Return logical ID and status of each event, the first event first."""
        return [
            (event["LogicalResourceId"], event["ResourceStatus"])
            for event in self.events(stack_id)
        ]

    def failures(self, stack_id: str) -> dict[str, str]:
        """Return why resources failed, by logical ID."""
        return {
            event["LogicalResourceId"]: event.get("ResourceStatusReason", "")
            for event in self.events(stack_id)
            if event["ResourceStatus"].endswith("_FAILED")
            and event.get("PhysicalResourceId") != stack_id
        }

    def family(self, stack_id: str) -> dict[str, str]:
        """Return the nested stacks of one, each by logical ID."""
        return {
            event["LogicalResourceId"]: event["PhysicalResourceId"]
            for event in self.events(stack_id)
            if event["ResourceType"] == "AWS::CloudFormation::Stack"
            and event.get("PhysicalResourceId") not in ("", None, stack_id)
        }


def _parameters(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [
        {"ParameterKey": name, "ParameterValue": value}
        for name, value in values.items()
    ]
