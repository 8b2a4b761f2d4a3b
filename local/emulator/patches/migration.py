"""A stub of the migration custom resource, which succeeds for every version.

On AWS a Lambda function runs the migration job on Fargate and waits for its end. The
emulator alone runs no task. ``LOCAL_MIGRATION=real`` leaves the resource to MiniStack,
which invokes the function: for use with the local ECS agent.
"""

from __future__ import annotations

import os
import uuid
from typing import Any

from local.emulator.patches.ministack import CreateResult
from local.emulator.patches.stubs import MARK

TYPE = "Custom::Migration"
SWITCH = "LOCAL_MIGRATION"


def is_stub() -> bool:
    """Return whether the migration job is a stub."""
    return os.environ.get(SWITCH, "stub") != "real"


def handlers() -> dict[str, Any]:
    """Return the handlers of the type, as MiniStack's provisioners take them."""
    return {"create": _create, "update": _update, "delete": _delete}


def _create(logical_id: str, properties: dict[str, Any], _stack: str) -> CreateResult:
    return f"{logical_id}-stub-{uuid.uuid4().hex[:12]}", _attributes(properties)


def _update(
    physical_id: str, _old: Any, new: dict[str, Any], _stack: str
) -> CreateResult:
    return physical_id, _attributes(new)


def _delete(_physical_id: str, _properties: Any) -> None:
    """Do nothing."""


def _attributes(properties: dict[str, Any]) -> dict[str, Any]:
    return {MARK: True, "Version": properties.get("Version", "")}
