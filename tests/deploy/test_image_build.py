"""A build is followed to its end, and a failure names the step and its log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from cli.errors import Failure
from deploy import image_build
from deploy.aws import Aws
from deploy.image_build import BuildStack

BUILD = BuildStack("1.dkr.ecr.eu-west-1.amazonaws.com/team", "project", "bucket")
LOG = ["Collecting cowsay", "error: The image holds no Airflow.", "end"]


def phase(kind: str, status: str, message: str = "") -> dict[str, Any]:
    return {
        "phaseType": kind,
        "phaseStatus": status,
        "durationInSeconds": 3,
        "contexts": [{"message": message}],
    }


class FakeCodeBuild:
    """A build that ends at the second look."""

    is_local = False
    account = "111122223333"

    def __init__(self, status: str, *phases: dict[str, Any]) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._ended = {"buildStatus": status, "phases": list(phases)}

    def call(
        self, _service: str, operation: str, _where: str, **parameters: Any
    ) -> dict[str, Any]:
        self.calls.append((operation, parameters))
        answer: Callable[[], dict[str, Any]] = getattr(self, operation)
        return answer()

    def put_object(self) -> dict[str, Any]:
        return {}

    def start_build(self) -> dict[str, Any]:
        return {"build": {"id": "project:1"}}

    def batch_get_builds(self) -> dict[str, Any]:
        looks = [name for name, _ in self.calls].count("batch_get_builds")
        build = {
            "id": "project:1",
            "buildComplete": looks > 1,
            "logs": {"groupName": "group", "streamName": "stream"},
            "exportedEnvironmentVariables": [
                {"name": "IMAGE_DIGEST", "value": "sha256:1"}
            ],
        }
        return {"builds": [build | self._ended]}

    def get_log_events(self) -> dict[str, Any]:
        name, parameters = self.calls[-1]
        assert name == "get_log_events"
        lines = [] if parameters.get("nextToken") else LOG
        return {
            "events": [{"message": f"{line}\n"} for line in lines],
            "nextForwardToken": "end",
        }


def build(fake: FakeCodeBuild) -> str:
    aws = cast("Aws", fake)
    return image_build.run(aws, BUILD, b"zip", "tag", sleep=lambda _: None)


def test_digest_of_a_build_is_returned_and_its_log_shown_once(
    capfd: pytest.CaptureFixture[str],
) -> None:
    fake = FakeCodeBuild("SUCCEEDED", phase("BUILD", "SUCCEEDED"))
    assert build(fake) == "sha256:1"
    (started,) = (each for name, each in fake.calls if name == "start_build")
    assert started["sourceLocationOverride"] == "bucket/images/tag.zip"
    shown = capfd.readouterr().err
    assert shown.count("Collecting cowsay") == 1
    assert "build: succeeded, 3 s" in shown


def test_failed_step_is_named_with_the_end_of_its_log() -> None:
    fake = FakeCodeBuild(
        "FAILED",
        phase("INSTALL", "SUCCEEDED"),
        phase("BUILD", "FAILED", "exit status 1"),
    )
    with pytest.raises(Failure) as failure:
        build(fake)
    (problem,) = failure.value.problems
    assert problem.what == "The image holds no Airflow."
    assert "exit status 1" in problem.why
    assert problem.why.endswith("end")


def test_emulator_builds_nothing_and_says_so(
    capfd: pytest.CaptureFixture[str],
) -> None:
    fake = FakeCodeBuild("SUCCEEDED")
    fake.is_local = True
    assert build(fake) == ""
    assert "(stub)" in capfd.readouterr().err
