"""Start MiniStack with all patches, on a socket that is already bound."""

from __future__ import annotations

import argparse
import asyncio
import os
from importlib import import_module
from pathlib import Path

SECONDS_TO_FINISH = 0.5
"""Grace period of open connections when the emulator stops."""


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(prog="local.emulator.patches", description=__doc__)
    parser.add_argument("--socket", type=int, required=True)
    parser.add_argument("--schemas", type=Path, required=True)
    arguments = parser.parse_args()
    # Lambda functions that the emulator runs must not import the project.
    os.environ.pop("PYTHONPATH", None)

    from cloudformation.schemas import SchemaRegistry  # noqa: PLC0415
    from local.emulator.patches import (  # noqa: PLC0415
        control,
        deletions,
        ec2_types,
        elb_types,
        events,
        function_answers,
        function_roles,
        handlers,
        nested_stacks,
        operations,
        refusals,
        service_catalog,
        states,
        validation_patches,
    )
    from local.emulator.patches.ministack import APP  # noqa: PLC0415

    registry = SchemaRegistry(arguments.schemas)
    operations.install()
    catalog = service_catalog.load()
    handlers.install(registry, catalog)
    ec2_types.install()
    elb_types.install()
    function_answers.install()
    function_roles.install()
    nested_stacks.install()
    events.install()
    deletions.install()
    refusals.install(registry)
    states.install()
    validation_patches.install(registry)

    config = import_module("hypercorn.config").Config()
    config.bind = [f"fd://{arguments.socket}"]
    config.keep_alive_timeout = 75
    config.graceful_timeout = SECONDS_TO_FINISH
    serve = import_module("hypercorn.asyncio").serve
    asyncio.run(serve(control.with_control_api(APP["app"], catalog), config))


if __name__ == "__main__":
    main()
