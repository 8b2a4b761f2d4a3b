"""One piece of work a process, for ``benchmarks.__main__`` to measure from outside."""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path

from cli.product import ROOT, assets, compile_templates
from compiler.quotas import over_quota
from compiler.wiring import Build

OURS = ("benchmarks", "build", "compiler", "templates", "__")

REPEATS = 5
"""The best of them counts: all that differs between them is the machine's noise."""


def compile_everything() -> None:
    """Compile both roots to text."""
    for page in compile_templates():
        page.text()


def compile_pools(count: int) -> None:
    """Compile the parent with that many worker pools, and hold it to every quota."""
    from templates import parent
    from templates.airflow.pools import Pool, all_but

    pools = tuple(
        # CloudFormation's 200 parameters do not hold every setting of fifty pools.
        Pool(name=f"pool{number}", queue=f"queue{number}", fixed=all_but())
        for number in range(count)
    )
    product = Build(assets()).root(parent.define_with(pools))
    templates = {page.path: (page.document, page.text()) for page in product.walk()}
    for problem in over_quota(templates):
        sys.exit(str(problem))


def time_pools(counts: list[int]) -> None:
    """Print the seconds that each number of pools takes once everything is loaded."""
    compile_pools(1)
    best = dict.fromkeys(counts, math.inf)
    for _ in range(REPEATS):
        for count in counts:
            started = time.process_time()
            compile_pools(count)
            best[count] = min(best[count], time.process_time() - started)
    sys.stdout.write(json.dumps(best))


def deliver(folder: Path, command: list[str]) -> None:
    """Run a command of delivery against the emulator in a folder, started before."""
    from cli.deployment import EmulatorConnection, commands
    from local.emulator.process import EmulatorProcess

    emulator = EmulatorProcess(ROOT, folder / "emulator")

    def connect(_region: str | None) -> EmulatorConnection:
        options = {name: str(value) for name, value in emulator.client_options.items()}
        return emulator.endpoint_url, options, emulator.resource_kinds

    name, *options = command
    for subcommand in commands(folder / "dist", connect):
        if subcommand.name == name:
            subcommand.main([*options, "--emulator"])


def control_emulator(folder: Path, action: str) -> None:
    """Start the emulator of a folder, or erase it."""
    from local.emulator.process import EmulatorProcess

    emulator = EmulatorProcess(ROOT, folder / "emulator")
    if action == "start":
        emulator.start()
    else:
        emulator.erase()


def name_libraries() -> None:
    """Print, as Python, an import of everything of others that compiling loads."""
    compile_everything()
    names = sorted(
        name
        for name, module in sys.modules.items()
        # Some extension modules register names that cannot be imported.
        if getattr(module, "__file__", None) and not name.startswith(OURS)
    )
    sys.stdout.write(f"import {', '.join(names)}")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["compile"]:
            compile_everything()
        case ["pools", number]:
            compile_pools(int(number))
        case ["growth", *numbers]:
            time_pools([int(number) for number in numbers])
        case ["deliver", folder, *command]:
            deliver(Path(folder), command)
        case ["emulator", folder, action]:
            control_emulator(Path(folder), action)
        case ["libraries"]:
            name_libraries()
