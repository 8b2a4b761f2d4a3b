"""The scaling template as `make templates` would write it, without the lint."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from compiler.wiring import Build
from simulation.step_scaling import StepScalingRule, read
from templates import scaling


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dist") / "scaling.template.json"
    path.write_text(json.dumps(Build().template(scaling.define).document))
    return path


@pytest.fixture(scope="session")
def alarms(template: Path) -> tuple[StepScalingRule, ...]:
    return read(template)
