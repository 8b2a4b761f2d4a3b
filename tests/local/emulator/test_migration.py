"""The migration job: a stand-in that says so, or the function itself when asked for."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from local.datastores.processes import free_port
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
        "PhysicalResourceId": "gate",
        **{name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")},
        "Data": {"Version": event["ResourceProperties"]["Version"]},
    }
    urllib.request.urlopen(urllib.request.Request(
        event["ResponseURL"], json.dumps(answer).encode(), method="PUT"))
"""


SILENT = {
    "cannot start": "import nothing_of_that_name",
    "dies": "import os\ndef handler(event, context): os._exit(9)",
    "raises": "def handler(event, context): raise ValueError('no such key')",
    "takes too long": "import time\ndef handler(event, context): time.sleep(60)",
    "just returns": "def handler(event, context): pass",
}
TOLD = {
    "cannot start": "No module named 'nothing_of_that_name'",
    "dies": "Worker process died",
    "raises": "no such key",
    "takes too long": "Task timed out after 2",
    "just returns": "it returned without an answer",
}
"""What each function does, and what the stack's event says of it."""


def gated(version: str, code: str = FUNCTION, seconds: int = 30) -> dict[str, Any]:
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
            "Gate": {
                "Type": "Custom::Migration",
                "Properties": {
                    "ServiceToken": att("Function", "Arn"),
                    "Version": version,
                },
            },
        }
    }


class Issuer:
    """A gateway that gives credentials and nothing else."""

    def __init__(self, port: int) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                names = ("AccessKeyId", "SecretAccessKey", "Token")
                body = json.dumps(dict.fromkeys(names, "1")).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def test_the_stand_in_lets_every_version_pass_and_says_what_it_is(cloud: Cloud) -> None:
    assert control_client.identity(cloud.emulator.endpoint_url)["migration_is_stub"]
    stack = cloud.create(gated("bad"))
    assert stack.status == "CREATE_COMPLETE"
    assert cloud.emulator.resource_kinds()[stack.name]["Gate"] == "stub"


@pytest.fixture
def real(tmp_path: Path) -> Any:
    emulator = EmulatorProcess(ROOT, tmp_path / "emulator", migration="real")
    with emulator:
        yield Cloud(emulator)
    emulator.erase()


def test_asked_for_the_function_itself_decides(real: Cloud) -> None:
    passed = real.create(gated("good"))
    assert passed.status == "CREATE_COMPLETE", real.failures(passed.id)
    assert real.emulator.resource_kinds()[passed.name]["Gate"] == "real"

    shut = real.create(gated("bad"))
    assert shut.status == "ROLLBACK_COMPLETE"
    reason = real.failures(shut.id)["Gate"]
    assert "The migration job ended with exit code 1." in reason


@pytest.mark.slow
@pytest.mark.parametrize("way", SILENT)
def test_a_function_that_never_answers_fails_the_gate_with_its_reason(
    way: str, real: Cloud
) -> None:
    shut = real.create(gated("good", SILENT[way], seconds=2))
    assert shut.status == "ROLLBACK_COMPLETE"
    assert TOLD[way] in real.failures(shut.id)["Gate"]


@pytest.mark.slow
def test_a_gateway_that_never_comes_up_fails_the_gate_with_its_address(
    tmp_path: Path,
) -> None:
    emulator = EmulatorProcess(
        ROOT,
        tmp_path / "emulator",
        migration="real",
        functions_endpoint=f"http://127.0.0.1:{free_port()}",
    )
    with emulator:
        cloud = Cloud(emulator)
        shut = cloud.create(gated("good"))
        assert "gives no credentials" in cloud.failures(shut.id)["Gate"]
    emulator.erase()


@pytest.mark.slow
def test_a_gateway_that_comes_up_late_is_waited_for(tmp_path: Path) -> None:
    port = free_port()
    with EmulatorProcess(
        ROOT,
        tmp_path / "emulator",
        migration="real",
        functions_endpoint=f"http://127.0.0.1:{port}",
    ) as emulator:
        cloud = Cloud(emulator)
        late = threading.Timer(3, lambda: gateways.append(Issuer(port)))
        gateways: list[Issuer] = []
        late.start()
        try:
            passed = cloud.create(gated("good"))
            assert passed.status == "CREATE_COMPLETE", cloud.failures(passed.id)
        finally:
            late.join()
            for gateway in gateways:
                gateway.close()
    emulator.erase()
