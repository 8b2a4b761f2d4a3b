"""The migration job's custom resource, as a stand-in that lets every version pass.

On AWS a Lambda function runs Airflow's migration job on Fargate and waits for its end.
No task runs here, so the gate has nothing to wait for. ``LOCAL_GATE=real`` leaves the
resource to MiniStack, which invokes the function, for when tasks do run.
"""

from __future__ import annotations

import os
import uuid
from typing import Any

from local.emulator.patches.stubs import MARK

TYPE = "Custom::Migration"
SWITCH = "LOCAL_GATE"

Made = tuple[str, dict[str, Any]]


def is_stand_in() -> bool:
    """Whether the gate only looks like one."""
    return os.environ.get(SWITCH, "stand-in") != "real"


def handlers() -> dict[str, Any]:
    """Return the handlers of the type, as MiniStack's provisioners take them."""
    return {"create": _create, "update": _update, "delete": _delete}


def _create(logical_id: str, properties: dict[str, Any], _stack: str) -> Made:
    return f"{logical_id}-stand-in-{uuid.uuid4().hex[:12]}", _passed(properties)


def _update(physical_id: str, _old: Any, new: dict[str, Any], _stack: str) -> Made:
    return physical_id, _passed(new)


def _delete(_physical_id: str, _properties: Any) -> None:
    """Let it go; nothing was there."""


def _passed(properties: dict[str, Any]) -> dict[str, Any]:
    return {MARK: True, "Version": properties.get("Version", "")}
