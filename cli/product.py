"""The product that the commands build: its templates, assets and checks.

Imports are inside the functions: an unchanged rebuild loads neither troposphere nor a
linter.
"""

# ruff: noqa: PLC0415 - as said above

from __future__ import annotations

import time
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from cli.errors import Failure, Unable
from cli.own_environment import incomplete

if TYPE_CHECKING:
    from compiler.lint import LintException
    from compiler.pipeline import Project
    from compiler.validation import Check
    from compiler.wiring import AssetFile, Template

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"

ROOT_TEMPLATE = "parent.template.json"
"""The template that an operator launches: parameter files are for it."""

INPUTS = (
    "build.py",
    "cli/product.py",
    "compiler",
    "fargate_runtime",
    "parameters",
    "pools.json",
    "pyproject.toml",
    "requirements/tool.txt",
    "templates",
)
"""The sources that decide what a build writes."""

PARSING_SETTINGS = ("AIRFLOW__CORE__", "AIRFLOW__OPERATORS__")
"""Sections of Airflow's configuration. The others name logs, datastores and pages."""

LONGEST_BUILD_SECONDS = 120.0
"""How long a command waits for a build that another process runs."""


@cache
def version() -> str:
    """Return the version of the product."""
    path = ROOT / "pyproject.toml"
    try:
        return str(tomllib.loads(path.read_text())["project"]["version"])
    except (OSError, ValueError, LookupError) as error:
        raise Unable(incomplete(f"{path.name}: {error}")) from error


def compile_templates() -> Iterable[Template]:
    """Compile the roots; return every template, a nested one before its parent."""
    from compiler.wiring import Build
    from templates import image_build, parent, service_catalog

    build = Build(assets(), version=version())
    product = build.root(parent.define)
    yield from product.walk()
    yield build.root(service_catalog.define_for(product))
    yield build.root(image_build.define)


def deployment_role(stack_name: str, parameters: Mapping[str, str]) -> Template:
    """Compile the roles that launch the templates as one stack."""
    from compiler.wiring import Build
    from templates import deployment_role, parent

    build = Build(assets(), version=version())
    product = build.root(parent.define)
    return build.root(deployment_role.define_for(product, stack_name, parameters))


def deployer_role(stack_name: str, bundle: str) -> Template:
    """Compile the role that releases the DAGs of one bundle of a stack."""
    from compiler.wiring import Build
    from templates import deployer_role

    build = Build(assets(), version=version())
    return build.root(deployer_role.define_for(stack_name, bundle))


@cache
def assets() -> Mapping[str, AssetFile]:
    """Return the files that are published beside the templates."""
    from compiler.assets import packed
    from compiler.values import ASSET_FOLDER

    return {"runtime": packed(ROOT / "fargate_runtime", f"{ASSET_FOLDER}runtime.zip")}


def release_bundles() -> tuple[str, ...]:
    """Return the names of the bundles that DAGs are released to."""
    from templates.airflow.bundles import BUNDLES, Releases

    return tuple(bundle.name for bundle in BUNDLES if isinstance(bundle, Releases))


def queues() -> tuple[str, ...]:
    """Return the queues that the workers of an environment serve."""
    from templates.airflow.pools import POOLS

    return tuple(pool.queue for pool in POOLS)


def parsing_settings() -> Mapping[str, str]:
    """Return the settings of the DAG processor that decide how a DAG is parsed."""
    from templates.airflow.components import DAG_PROCESSOR
    from templates.airflow.environment import ENVIRONMENT

    return {
        row.name: row.value
        for row in ENVIRONMENT
        if row.name.startswith(PARSING_SETTINGS)
        and isinstance(row.value, str)
        and DAG_PROCESSOR in row.components
    }


def checks() -> Iterable[Check]:
    """Return the checks across parameters that no template Rule can express."""
    from templates.checks import table

    return table.checks()


def lint_exceptions() -> Iterable[LintException]:
    """Return the findings of the linters that are answered instead of followed."""
    from templates.lint_exceptions import EXCEPTIONS

    return EXCEPTIONS


def project(dist: Path = DIST) -> Project:
    """Return what the compiler builds, and where."""
    from compiler import output
    from compiler.pipeline import Project

    return Project(
        root=ROOT,
        dist=output.destination(dist),
        root_template=ROOT_TEMPLATE,
        inputs=INPUTS,
        compile_templates=compile_templates,
        assets=assets,
        checks=checks,
        lint_exceptions=lint_exceptions,
    )


def target(environment: str) -> Mapping[str, str]:
    """Return what the file of an environment says about where it is launched.

    Nothing for an environment without a file. Raises Failure for a file whose target
    cannot be read, because the stack could be another one.
    """
    from compiler import output, parameters

    folder = output.relative(ROOT / "parameters")
    file = parameters.environments(folder).get(environment)
    if file is None:
        return {}
    loaded = parameters.load(file)
    if loaded.target is None:
        raise Failure(*loaded.problems)
    return loaded.target


def check_overrides(environment: str, values: Mapping[str, str]) -> None:
    """Raise Failure unless dist/ can be launched with these values of parameters."""
    from compiler import pipeline

    if problems := pipeline.check_overrides(project(), environment, values):
        raise Failure(*problems)


def build_if_changed(environment: str) -> None:
    """Build dist/ if the sources have changed; wait for a build in progress.

    Raises UnknownEnvironmentError before anything is built, and BusyError when that
    build takes longer than LONGEST_BUILD_SECONDS.
    """
    from cli import console
    from compiler import output, parameters, pipeline
    from compiler.output import BusyError

    parameters.find(output.relative(ROOT / "parameters"), environment)
    deadline = time.monotonic() + LONGEST_BUILD_SECONDS
    with console.progress("Compiling and linting ..."):
        while True:
            try:
                pipeline.build(project())
            except BusyError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
            else:
                return
