"""Run cfn-lint in worker processes, which start while the templates compile.

Run as ``python -m compiler.lint_worker SOCKET...``, one inherited socket a worker.
cfn-lint and its rules take most of a second to load, so they are loaded once and
the process is then forked for each further worker. A worker answers each line
with a line of JSON and ends when its socket closes, also when the build was killed.
"""

from __future__ import annotations

import gc
import json
import os
import socket
import sys
import traceback
from collections.abc import Container
from functools import cache
from typing import Any

import cfnlint.decode
from cfnlint.config import ConfigMixIn
from cfnlint.context.parameters import ParameterSet
from cfnlint.match import Match
from cfnlint.runner import Runner
from cfnlint.runner.template import run_template_by_file_paths

REGION = "us-east-1"
"""The region with every resource type. One region: each further one takes as long
again with the same result, because no template depends on the region."""

RULE_CLASSES = ["I"]
"""Informational rules are off by default; W and E are on."""

CONFIGURED = {
    "I3042": {"partition": True, "region": True, "accountId": True},
}
"""An ARN with a literal region or account works in one place only."""

NO_FILE = os.devnull
"""Instead of a .cfnlintrc in the home folder, which must not change the result."""


def main(descriptors: list[int]) -> None:
    """Fork until there is a worker for each socket, and work."""
    _rules()
    _read_nested_templates_once()
    gc.freeze()
    own = descriptors[0]
    for descriptor in descriptors[1:]:
        if os.fork() == 0:
            own = descriptor
            break
    for descriptor in set(descriptors) - {own}:
        os.close(descriptor)
    serve(socket.socket(fileno=own))


def serve(connection: socket.socket) -> None:
    """Answer one line after another."""
    # All objects live until the lint run ends; garbage collection costs a fifth.
    gc.disable()
    with connection.makefile("r") as questions, connection.makefile("w") as answers:
        for question in questions:
            try:
                answer: dict[str, Any] = {"findings": _lint(**json.loads(question))}
            except Exception:  # noqa: BLE001 - the build reports it, whatever it is
                answer = {"crash": traceback.format_exc()}
            answers.write(json.dumps(answer) + "\n")
            try:
                answers.flush()
            except (BrokenPipeError, ConnectionResetError):
                # The build was ended. Exit here: closing the file would flush again.
                os._exit(0)


def _lint(
    stage: str, template: str, environments: dict[str, dict[str, str]]
) -> list[dict[str, object]]:
    # cfn-lint follows a relative TemplateURL only to files below where it runs.
    os.chdir(stage)
    lists = {
        name
        for name, definition in _parameters(template).items()
        if definition["Type"] == "CommaDelimitedList"
    }
    configuration = _configuration().evolve(
        templates=[template],
        parameters=[
            ParameterSet(
                name,
                {k: v.split(",") if k in lists else v for k, v in values.items()},
            )
            for name, values in environments.items()
        ],
    )
    return [
        _finding(match, template, environments)
        for match in run_template_by_file_paths(configuration, _rules())
    ]


def _parameters(template: str) -> dict[str, Any]:
    with open(template) as file:  # noqa: PTH123 - a path beside the others
        parameters: dict[str, Any] = json.load(file).get("Parameters", {})
    return parameters


def _finding(
    match: Match, template: str, environments: Container[str]
) -> dict[str, object]:
    path = getattr(match, "path", None) or []
    return {
        "linter": "cfn-lint",
        "rule": match.rule.id,
        "template": template,
        "place": ".".join(map(str, path)),
        "line": match.linenumber,
        "message": match.message,
        "why": match.rule.description,
        # Where a value is at fault it is the environment's, else the message names it.
        "environment": match.filename if match.filename in environments else "",
    }


def _read_nested_templates_once() -> None:
    """Keep what was read: cfn-lint reads a nested template twice for each stack."""
    wires = _rules()["E3043"]
    wires._get_template_parameters = cache(wires._get_template_parameters)  # noqa: SLF001 - a quarter of the parent's time, for an exactly pinned cfn-lint
    cfnlint.decode.decode = cache(cfnlint.decode.decode)


@cache
def _configuration() -> ConfigMixIn:
    return ConfigMixIn(
        ["--config-file", NO_FILE],
        templates=[],
        regions=[REGION],
        include_checks=RULE_CLASSES,
        include_experimental=True,
        configure_rules=CONFIGURED,
    )


@cache
def _rules() -> Any:
    return Runner(_configuration()).rules


if __name__ == "__main__":
    main([int(descriptor) for descriptor in sys.argv[1:]])
