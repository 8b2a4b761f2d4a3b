"""The migration custom resource: a stub, or its own function."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.datastores.processes import free_port
from local.ecs.web import HttpRequest, HttpResponse, HttpServer
from local.emulator import control_client
from local.emulator.process import EmulatorProcess
from tests.local.emulator.cloud import Cloud
from tests.local.emulator.ministack_contracts import SUPPORT, att

ROOT = Path(__file__).parents[3]

FUNCTION = """
import json, urllib.request

def handler(event, context):
    answer = {
        "Status": "SUCCESS" if event["ResourceProperties"]["Version"] == "good"
        else "FAILED",
        "Reason": "The migration job ended with exit code 1.",
        "PhysicalResourceId": "migration",
        **{name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")},
        "Data": {"Version": event["ResourceProperties"]["Version"]},
    }
    urllib.request.urlopen(urllib.request.Request(
        event["ResponseURL"], json.dumps(answer).encode(), method="PUT"))
"""


SILENT = {
    "cannot start": (
        "import nothing_of_that_name",
        "No module named 'nothing_of_that_name'",
    ),
    "dies": (
        "import os\ndef handler(event, context): os._exit(9)",
        "Worker process died",
    ),
    "raises": (
        "def handler(event, context): raise ValueError('no such key')",
        "no such key",
    ),
    "takes too long": (
        "import time\ndef handler(event, context): time.sleep(60)",
        "Task timed out after 2",
    ),
    "just returns": (
        "def handler(event, context): pass",
        "it returned without an answer",
    ),
}
"""Code of each function, and the reason in the stack's event."""


def migrating(version: str, code: str = FUNCTION, seconds: int = 30) -> dict[str, Any]:
    return {
        "Resources": {
            "Role": SUPPORT["Role"],
            "Function": {
                "Type": "AWS::Lambda::Function",
                "Properties": {
                    "Code": {"ZipFile": code},
                    "Handler": "index.handler",
                    "Role": att("Role", "Arn"),
                    "Runtime": "python3.12",
                    "Timeout": seconds,
                },
            },
            "Migration": {
                "Type": "Custom::Migration",
                "Properties": {
                    "ServiceToken": att("Function", "Arn"),
                    "Version": version,
                },
            },
        }
    }


def issue(_request: HttpRequest) -> HttpResponse:
    """Answer with credentials, as the AWS proxy of the local ECS agent does."""
    names = ("AccessKeyId", "SecretAccessKey", "Token")
    return HttpResponse(200, json.dumps(dict.fromkeys(names, "1")).encode())


def test_migration_stub_succeeds_for_every_version(cloud: Cloud) -> None:
    assert control_client.identity(cloud.emulator.endpoint_url)["migration_is_stub"]
    stack = cloud.create(migrating("bad"))
    assert stack.status == "CREATE_COMPLETE"
    assert cloud.emulator.resource_kinds()[stack.name]["Migration"] == "stub"


def start(
    factory: pytest.TempPathFactory, functions_endpoint: str = ""
) -> Iterator[Cloud]:
    emulator = EmulatorProcess(
        ROOT,
        factory.mktemp("migration"),
        migration="real",
        functions_endpoint=functions_endpoint,
    )
    with emulator:
        yield Cloud(emulator)
    emulator.erase()


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    yield from start(tmp_path_factory)


@pytest.mark.slow
def test_migration_function_decides(real: Cloud) -> None:
    passed = real.create(migrating("good"))
    assert passed.status == "CREATE_COMPLETE", real.failures(passed.id)
    assert real.emulator.resource_kinds()[passed.name]["Migration"] == "real"

    failed = real.create(migrating("bad"))
    assert failed.status == "ROLLBACK_COMPLETE"
    reason = real.failures(failed.id)["Migration"]
    assert "The migration job ended with exit code 1." in reason


@pytest.mark.slow
@pytest.mark.parametrize("case", SILENT)
def test_migration_fails_when_its_function_does_not_answer(
    case: str, real: Cloud
) -> None:
    code, reason = SILENT[case]
    failed = real.create(migrating("good", code, seconds=2))
    assert failed.status == "ROLLBACK_COMPLETE"
    assert reason in real.failures(failed.id)["Migration"]


@pytest.mark.slow
def test_function_waits_for_the_proxy_that_issues_its_credentials(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    port = free_port()
    emulator = start(tmp_path_factory, f"http://127.0.0.1:{port}")
    cloud = next(emulator)
    failed = cloud.create(migrating("good"))
    assert "gives no credentials" in cloud.failures(failed.id)["Migration"]

    servers: list[HttpServer] = []
    late = threading.Timer(1, lambda: servers.append(HttpServer(issue, port=port)))
    late.start()
    try:
        passed = cloud.create(migrating("good"))
        assert passed.status == "CREATE_COMPLETE", cloud.failures(passed.id)
    finally:
        late.join()
        servers[0].close()
        next(emulator, None)
