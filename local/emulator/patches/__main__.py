"""Start MiniStack with all patches, on a socket that is already bound."""

from __future__ import annotations

import argparse
import asyncio
import json
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
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--uncalled", type=Path)
    arguments = parser.parse_args()
    # Lambda functions that the emulator runs must not import the project.
    os.environ.pop("PYTHONPATH", None)

    from cloudformation.schemas import SchemaRegistry  # noqa: PLC0415
    from local.emulator.patches import (  # noqa: PLC0415
        authorization,
        control,
        corrections,
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
        role_requests,
        service_catalog,
        states,
        validation_patches,
    )
    from local.emulator.patches.ministack import APP  # noqa: PLC0415
    from local.emulator.patches.resource_calls import (  # noqa: PLC0415
        Reference,
        ResourceCalls,
    )

    registry = SchemaRegistry(arguments.schemas)
    uncalled = json.loads(arguments.uncalled.read_text()) if arguments.uncalled else {}
    reference = Reference(arguments.reference)
    calls = ResourceCalls(reference, uncalled, authorization.service_trusted_by)
    authorizer = authorization.Authorizer(calls, registry)
    operations.install()
    catalog = service_catalog.load(authorizer)
    handlers.install(registry, catalog, authorizer)
    ec2_types.install()
    elb_types.install()
    function_answers.install()
    function_roles.install()
    authorization.install()
    nested_stacks.install()
    corrections.install()
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
    app = control.with_control_api(APP["app"], catalog, authorizer)
    asyncio.run(serve(role_requests.with_authorization(app, authorizer), config))


if __name__ == "__main__":
    main()
