"""The text in every task definition, run as a container runs it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from compiler.assets import packed
from fargate_runtime.contract import Env
from local.ecs.web import HttpRequest, HttpResponse, HttpServer

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "fargate_runtime" / "bootstrap.py").read_text()
PAUSES = "(1, 2, 4, 8, 0)"
ROLE = {"AccessKeyId": "AKID", "SecretAccessKey": "s3cr3t/+", "Token": "tok/en+=="}
KEY = "some prefix/runtime~1+a.zip"


@dataclass
class Bucket:
    """Credentials of a task role, and a bucket that checks signatures."""

    content: bytes
    statuses: list[int] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    signatures: list[bool] = field(default_factory=list)
    url: str = ""

    def respond(self, request: HttpRequest) -> HttpResponse:
        assert request.method == "GET"
        if request.target == "/role":
            return HttpResponse(200, json.dumps(ROLE).encode())
        self.paths.append(request.target)
        self.signatures.append(self.is_signed_as_botocore_would(request))
        status = self.statuses.pop(0) if self.statuses else 200
        return HttpResponse(status, self.content if status == 200 else b"<Error/>")

    def is_signed_as_botocore_would(self, request: HttpRequest) -> bool:
        headers = request.headers
        if headers["x-amz-security-token"] != ROLE["Token"]:
            return False
        signed = headers["authorization"].split("SignedHeaders=")[1].split(",")[0]
        expected = AWSRequest(
            "GET",
            f"{self.url}{request.target}",
            headers={name: headers[name] for name in signed.split(";")},
        )
        expected.context["timestamp"] = headers["x-amz-date"]
        auth = S3SigV4Auth(
            Credentials(ROLE["AccessKeyId"], ROLE["SecretAccessKey"], ROLE["Token"]),
            "s3",
            "eu-west-1",
        )
        text = auth.string_to_sign(expected, auth.canonical_request(expected))
        signature = auth.signature(text, expected)
        return bool(headers["authorization"].endswith(f"Signature={signature}"))


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    bucket = Bucket(packed(ROOT / "fargate_runtime", "runtime.zip").content)
    server = HttpServer(bucket.respond)
    bucket.url = server.url
    yield bucket
    server.close()


def start(
    bucket: Bucket,
    folder: Path,
    *command: str,
    pauses: str = "(0,)",
    **changed: str,
) -> subprocess.CompletedProcess[str]:
    assert PAUSES in TEXT
    environ = {
        "PATH": os.environ["PATH"],
        "AWS_REGION": "eu-west-1",
        "AWS_ENDPOINT_URL": bucket.url,
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{bucket.url}/role",
        # A proxy for the outside must not see the credentials of the role.
        "HTTP_PROXY": "http://127.0.0.1:1",
        "RUNTIME_BUCKET": "bucket.with.dots",
        "RUNTIME_KEY": KEY,
        "RUNTIME_SHA256": sha256(bucket.content).hexdigest(),
        "RUNTIME_PATH": str(folder / "runtime.zip"),
        "PYTHONPATH": str(folder / "runtime.zip"),
        "PGSSLROOTCERT": str(folder / "ca.pem"),
        **changed,
    }
    return subprocess.run(  # noqa: S603 - our own text
        [sys.executable, "-c", TEXT.replace(PAUSES, pauses), *command],
        env={name: value for name, value in environ.items() if value},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_command_runs_with_the_runtime_beside_it(
    bucket: Bucket, tmp_path: Path
) -> None:
    program = "import fargate_runtime.keys as k, sys; print(k.__file__, sys.argv[1])"
    result = start(bucket, tmp_path, sys.executable, "-c", program, "a b")
    assert result.stderr == ""
    assert result.stdout.split(" ", 1) == [
        str(tmp_path / "runtime.zip/fargate_runtime/keys.py"),
        "a b\n",
    ]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["ca.pem", "runtime.zip"]


def test_request_is_signed_as_the_sdk_would_sign_it(
    bucket: Bucket, tmp_path: Path
) -> None:
    # Characters that S3 wants encoded exactly once are in the key.
    start(bucket, tmp_path, "true")
    assert bucket.paths == ["/bucket.with.dots/some%20prefix/runtime~1%2Ba.zip"]
    assert bucket.signatures == [True]


def test_exit_status_is_the_commands_own(bucket: Bucket, tmp_path: Path) -> None:
    assert start(bucket, tmp_path, sys.executable, "-c", "exit(7)").returncode == 7


def test_changed_archives_are_never_imported(bucket: Bucket, tmp_path: Path) -> None:
    honest = sha256(bucket.content).hexdigest()
    bucket.content = b"not the archive"
    result = start(bucket, tmp_path, "true", RUNTIME_SHA256=honest)
    assert result.returncode == 1
    assert (
        f"SHA-256 is {sha256(bucket.content).hexdigest()}, not {honest}"
        in result.stderr
    )
    assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("status", "words"), [(403, "403: Forbidden"), (404, "404: Not Found")]
)
def test_refused_archives_are_one_line(
    bucket: Bucket, tmp_path: Path, status: int, words: str
) -> None:
    bucket.statuses = [status]
    result = start(bucket, tmp_path, "true")
    assert result.returncode == 1
    assert result.stderr.startswith(f"runtime: s3://bucket.with.dots/{KEY}: ")
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


def test_transient_errors_are_retried(bucket: Bucket, tmp_path: Path) -> None:
    # A role made a moment ago is not known everywhere in S3 yet.
    bucket.statuses = [503, 403]
    result = start(bucket, tmp_path, "true", pauses="(0.01, 0.01, 0)")
    assert result.returncode == 0
    assert len(bucket.paths) == 3


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("AWS_REGION", "KeyError: 'AWS_REGION'"),
        ("RUNTIME_SHA256", "KeyError: 'RUNTIME_SHA256'"),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "CREDENTIALS_RELATIVE_URI"),
    ],
)
def test_missing_variable_is_named(
    bucket: Bucket, tmp_path: Path, missing: str, words: str
) -> None:
    result = start(bucket, tmp_path, "true", **{missing: ""})
    assert result.returncode == 1
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_unwritable_paths_are_named(bucket: Bucket, tmp_path: Path) -> None:
    place = str(tmp_path / "nowhere" / "runtime.zip")
    result = start(bucket, tmp_path, "true", RUNTIME_PATH=place)
    assert result.returncode == 1
    assert place in result.stderr
    assert result.stderr.count("\n") == 1


def test_no_message_holds_a_credential(bucket: Bucket, tmp_path: Path) -> None:
    bucket.statuses = [500]
    result = start(bucket, tmp_path, "true")
    assert result.returncode == 1
    for secret in (ROLE["SecretAccessKey"], ROLE["Token"]):
        assert secret not in result.stderr + result.stdout


def test_bootstrap_fits_a_task_definition() -> None:
    # Every container of every template carries it, so it stays short; and Fn::Sub
    # would read a dollar and a brace as its own.
    assert len(TEXT) < 2500
    assert "${" not in TEXT
    assert TEXT.count("from fargate_runtime") == 1
    # Two containers of a task have the same process IDs, and may share the folder.
    assert "getpid" not in TEXT


def test_variables_are_those_of_the_contract() -> None:
    # It runs before the archive is there, so it cannot import their names.
    names = {name for name in vars(Env) if name.startswith("RUNTIME_")}
    assert set(re.findall(r"RUNTIME_\w+", TEXT)) == names
