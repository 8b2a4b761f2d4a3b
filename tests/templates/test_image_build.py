"""The repository of a team's image, and what its build may do."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compiler.wiring import Build
from deploy import image_build as deployed
from templates import image_build
from tests.compliance.environments import as_list
from tests.resolver import deploy

INDEX = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:index-a1b2c3"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return Build().root(image_build.define).document


def resources(document: dict[str, Any], **parameters: str) -> dict[str, Any]:
    return {
        name: resource["Properties"]
        for name, resource in deploy(
            document, {}, parameters, name="airflow-dev-image"
        ).resources.items()
    }


def allowed(policy: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for statement in policy["PolicyDocument"]["Statement"]:
        for action in as_list(statement["Action"]):
            for resource in as_list(statement["Resource"]):
                yield action, str(resource)


def test_built_images_are_immutable_scanned_and_encrypted(
    document: dict[str, Any],
) -> None:
    repository = resources(document)["Repository"]
    assert repository["ImageTagMutability"] == "IMMUTABLE"
    assert repository["ImageScanningConfiguration"] == {"ScanOnPush": True}
    assert repository["EncryptionConfiguration"] == {
        "EncryptionType": "KMS",
        "KmsKey": "<Key.Arn>",
    }
    assert document["Resources"]["Repository"]["UpdateReplacePolicy"] == "Retain"


def test_build_reads_one_folder_and_pushes_to_one_repository(
    document: dict[str, Any],
) -> None:
    granted = set(allowed(resources(document)["BuildPolicy"]))
    everywhere = {action for action, resource in granted if resource == "*"}
    assert everywhere == {"ecr:GetAuthorizationToken"}
    pushed = {resource for action, resource in granted if action == "ecr:PutImage"}
    assert pushed == {"<Repository.Arn>"}
    (source,) = {resource for action, resource in granted if action == "s3:GetObject"}
    assert source.endswith(f"/{deployed.SOURCES}/*")


def test_base_and_index_are_read_only_where_they_are_named(
    document: dict[str, Any],
) -> None:
    assert {"BasePolicy", "IndexPolicy"}.isdisjoint(resources(document))
    named = resources(
        document, BaseRepository="docker-hub/apache/airflow", IndexSecretArn=INDEX
    )
    base = {resource for _, resource in allowed(named["BasePolicy"])}
    assert len(base) == 1
    assert base.pop().endswith(":repository/docker-hub/apache/airflow")
    assert ("secretsmanager:GetSecretValue", INDEX) in allowed(named["IndexPolicy"])
    (index,) = (
        each
        for each in named["Project"]["Environment"]["EnvironmentVariables"]
        if each["Name"] == "INDEX_URL"
    )
    # CodeBuild reads it at the start of a build; the project holds its ARN alone.
    assert index == {"Name": "INDEX_URL", "Type": "SECRETS_MANAGER", "Value": INDEX}


DOCKER = """#!/bin/sh
echo "docker $*" >> "$RECORD"
test "$1" = run && exit "$CHECK"
case "$*" in *metadata-file*)
    echo '{"containerimage.digest": "sha256:1"}' > pushed.json ;;
esac
"""


@pytest.mark.parametrize(
    ("check", "code", "words"),
    [("0", 0, "sha256:1"), ("1", 1, "error: The image holds no Airflow.")],
)
def test_image_is_checked_before_it_is_pushed(
    check: str, code: int, words: str, tmp_path: Path
) -> None:
    for name, text in {"docker": DOCKER, "aws": "#!/bin/sh\n"}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    commands = [
        command if command.startswith("export") else f"{command} || exit 1"
        for phase in image_build.SPEC["phases"].values()
        for command in phase["commands"]
    ]
    done = subprocess.run(  # noqa: S603 - the commands of the build
        ["/bin/bash", "-c", "\n".join([*commands, "echo $IMAGE_DIGEST"])],
        cwd=tmp_path,
        env={
            "PATH": f"{tmp_path}:{Path(sys.executable).parent}:/usr/bin:/bin",
            "RECORD": str(tmp_path / "record"),
            "CHECK": check,
            "CODEBUILD_BUILD_SUCCEEDING": "1",
            "REPOSITORY": "registry/team",
            "TAG": "tag",
            "AIRFLOW_IMAGE": "apache/airflow:3",
            "INDEX_URL": "https://user:password@example.com",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (code, words)
    record = (tmp_path / "record").read_text()
    assert ("name=registry/team:tag,push=true" in record) is (code == 0)
    # Neither an argument nor a layer holds the login of the index.
    assert "--secret id=index,env=INDEX_URL" in record
    assert "password" not in record.replace("--password-stdin", "")
