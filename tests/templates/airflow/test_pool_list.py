"""The list of pools: valid for every value that CloudFormation accepts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cli import product
from compiler.interfaces import leaves
from compiler.parameters import EnvironmentFile
from compiler.validation import validate
from compiler.wiring import Build, WiringError
from fargate_runtime.autoscaler.settings import (
    AutoscalerSettings,
    PoolSettings,
    ScalingProfile,
    SettingsError,
)
from fargate_runtime.contract import TARGET_START_SECONDS
from fargate_runtime.start import set_limits
from templates import parent
from templates.airflow.components import AUTOSCALER
from templates.airflow.pools import AUTOSCALER as AUTOSCALER_TAG
from templates.airflow.pools import POOLS, Pool, WorkerPool, all_but
from templates.checks.table import checks
from tests.resolver import Stack, deploy

FIXED = tuple(
    Pool(name=f"team-{number}", queue=f"queue-{number}", fixed=all_but())
    for number in range(50)
)
"""Fifty pools cannot each ask for everything: CloudFormation's 200 parameters."""

EVERY_FIELD = frozenset(PoolSettings.__dataclass_fields__)


@cache
def library(pools: tuple[Pool, ...]) -> dict[str, Any]:
    root = Build(product.assets()).root(parent.define_with(pools))
    return {template.path: json.loads(template.text()) for template in root.walk()}


def airflow_services(pools: tuple[Pool, ...] = POOLS, /, **values: str) -> Stack:
    pages = library(pools)
    return deploy(pages["parent.template.json"], pages, values).child("AirflowServices")


def pools_json(services: Stack) -> str:
    """The list of pools in the autoscaler's environment."""
    task = services.resources["SchedulerDefinition"]["Properties"]
    (autoscaler,) = (
        item for item in task["ContainerDefinitions"] if item["Name"] == AUTOSCALER.name
    )
    environment = {each["Name"]: each["Value"] for each in autoscaler["Environment"]}
    return str(environment["SCALING_POOLS"])


def parse_pools(services: Stack) -> tuple[PoolSettings, ...]:
    """The pools as the autoscaler parses them."""
    return AutoscalerSettings.parse(pools_json(services)).pools


def accepted(definition: Mapping[str, Any]) -> st.SearchStrategy[str]:
    """Values that a parameter accepts, written as a person would write them."""
    if "AllowedValues" in definition:
        return st.sampled_from([str(value) for value in definition["AllowedValues"]])
    if definition["Type"] == "Number":
        least = int(definition.get("MinValue", 0))
        return st.integers(least, int(definition.get("MaxValue", 5000))).map(str)
    return st.from_regex(definition["AllowedPattern"], fullmatch=True).filter(
        lambda text: "\n" not in text
    )


@settings(max_examples=50)
@given(st.data())
def test_the_autoscaler_parses_every_accepted_value(
    data: st.DataObject,
) -> None:
    definitions = library(POOLS)["parent.template.json"]["Parameters"]
    values = {
        name: data.draw(accepted(definition), name)
        for name, definition in definitions.items()
        if name.startswith("DefaultWorkers")
    }
    fewest, most = sorted(
        int(values[f"DefaultWorkers{bound}"]) for bound in ("Minimum", "Maximum")
    )
    values |= {
        "DefaultWorkersMinimum": str(fewest),
        "DefaultWorkersMaximum": str(max(1, most)),
    }

    first, second = parse_pools(airflow_services(**values))

    assert first == PoolSettings(
        name="default",
        queue="default",
        concurrency=int(values["DefaultWorkersConcurrency"]),
        minimum=fewest,
        maximum=max(1, most),
        scaling_profile=ScalingProfile(values["DefaultWorkersScalingProfile"]),
        target_start_seconds=seconds(values["DefaultWorkersTargetStartSeconds"]),
        scale_in_delay_seconds=seconds(values["DefaultWorkersScaleInDelaySeconds"]),
        predictive_scaling=values["DefaultWorkersPredictiveScaling"] == "true",
    )
    assert second.name == "spot"


def seconds(text: str) -> int | None:
    return int(text) if text else None


def test_fixed_settings_reach_the_autoscaler_too() -> None:
    pool = Pool(
        name="special",
        queue="special",
        fixed={
            **all_but(),
            "concurrency": 3,
            "minimum": 2,
            "maximum": 7,
            "scaling_profile": "economy",
            "target_start_seconds": 0,
            "scale_in_delay_seconds": 90,
            "predictive_scaling": False,
        },
    )
    (pool_settings,) = parse_pools(airflow_services((pool,)))
    assert {name: getattr(pool_settings, name) for name in EVERY_FIELD} == {
        name: pool.all_fixed[name] for name in EVERY_FIELD
    }


@pytest.mark.parametrize("scaling_profile", ScalingProfile)
def test_an_empty_target_start_is_the_profiles_own(
    scaling_profile: ScalingProfile,
) -> None:
    (pool, _) = parse_pools(
        airflow_services(DefaultWorkersScalingProfile=scaling_profile)
    )
    assert pool.target_start_seconds is None
    assert pool.target_start == TARGET_START_SECONDS[scaling_profile]


def test_fifty_pools_fit_into_the_parameters_of_a_stack() -> None:
    # A parameter takes 4,096 bytes: one text of all pools would be refused at launch.
    # With the longest queues that Celery's pattern allows, and with numbers that the
    # operator chooses.
    longest = tuple(
        Pool(
            name=f"team-{number:02}-{'n' * 20}",
            queue=f"{number:02}{'q' * 98}",
            fixed={
                **all_but("maximum"),
                "target_start_seconds": 9999,
                "scale_in_delay_seconds": 9999,
            },
        )
        for number in range(50)
    )
    for pools in (FIXED, longest):
        services = airflow_services(pools)
        for name, value in services.parameters.items():
            assert len(str(value).encode()) <= 4096, name
        names = [pool.name for pool in parse_pools(services)]
        assert names == [pool.name for pool in pools]
        # And ECS takes 64 KiB a task definition.
        definition = services.resources["SchedulerDefinition"]["Properties"]
        assert len(json.dumps(definition)) < 60 * 1024


def test_pools_that_do_not_fit_are_an_error_of_the_build() -> None:
    many = tuple(
        Pool(name=f"{number}-{'n' * 1000}", queue=f"{number}", fixed=all_but())
        for number in range(50)
    )
    with pytest.raises(WiringError, match="shorter names"):
        library(many)


def test_the_autoscaler_reads_the_fields_tagged_for_it() -> None:
    tagged = {
        leaf.name for leaf in leaves(WorkerPool) if AUTOSCALER_TAG in leaf.notes["tags"]
    }
    assert tagged == EVERY_FIELD


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"concurency": 4}, "no such field. Did you mean concurrency"),
        ({"concurrency": 0}, "0 is too small"),
        ({"architecture": "arm"}, '"arm" is not allowed|ARM64'),
        ({"minimum": "many"}, "not a plain number"),
        ({"predictive_scaling": "maybe"}, "true"),
    ],
)
def test_an_entry_names_settings_and_gives_them_valid_values(
    settings_: dict[str, Any], message: str
) -> None:
    for pool in (
        Pool(name="a", queue="a", defaults=settings_),
        Pool(name="a", queue="a", fixed=settings_),
    ):
        with pytest.raises(WiringError, match=message):
            parent.define_with((pool,))
    both = Pool(name="a", queue="a", defaults={"cpu": 256}, fixed={"cpu": 512})
    with pytest.raises(WiringError, match="Write it once"):
        parent.define_with((both,))


CONTRADICTIONS = (
    {"Minimum": "5", "Maximum": "2"},
    {"Minimum": "-1"},
    {"Maximum": "0", "Minimum": "0", "FallbackMinimum": "0"},
    {"Maximum": "5001"},
    {"Concurrency": "0"},
    {"Concurrency": "2.5"},
    {"Concurrency": "08"},
    {"ScalingProfile": "fast"},
    {"PredictiveScaling": "maybe"},
    {"TargetStartSeconds": "-1"},
    {"TargetStartSeconds": "1000000"},
    {"TargetStartSeconds": "015"},
    {"ScaleInDelaySeconds": "a minute"},
    {"ScaleInDelaySeconds": "1000000"},
)


@pytest.mark.parametrize("choices", CONTRADICTIONS, ids=str)
def test_values_that_the_autoscaler_refuses_fail_the_build(
    choices: dict[str, str],
) -> None:
    # Otherwise the autoscaler would refuse it at its start; here the build does.
    values = {f"DefaultWorkers{name}": value for name, value in choices.items()}
    with pytest.raises(SettingsError):
        parse_pools(airflow_services(**values))
    environment = EnvironmentFile(name="x", source="x.json", parameters=values)
    root = library(POOLS)["parent.template.json"]
    assert validate(environment, root, checks()).problems


@pytest.mark.parametrize(
    ("pools", "names"),
    [
        ((), ()),
        ((Pool(name="a", queue="x"), Pool(name="b", queue="x")), ("a", "b")),
        ((Pool(name="a", queue="x"), Pool(name="a", queue="y")), ("a", "a")),
    ],
)
def test_duplicate_pools_are_refused_in_the_autoscalers_words(
    pools: tuple[Pool, ...], names: tuple[str, ...]
) -> None:
    with pytest.raises(SettingsError) as in_the_autoscaler:
        AutoscalerSettings(
            tuple(
                PoolSettings(
                    name=name, queue=pool.queue, concurrency=8, minimum=1, maximum=2
                )
                for name, pool in zip(names, pools, strict=True)
            )
        )
    with pytest.raises(WiringError) as at_the_build:
        parent.define_with(pools)
    assert str(in_the_autoscaler.value) in str(at_the_build.value)


@pytest.mark.parametrize(
    ("values", "slots"),
    [
        ({}, 160),
        ({"DefaultWorkersMaximum": "25", "DefaultWorkersConcurrency": "16"}, 480),
        ({"Parallelism": "400"}, 400),
    ],
)
def test_parallelism_is_the_capacity_of_all_pools(
    values: dict[str, str], slots: int
) -> None:
    # Of several schedulers each may, since one may be left alone.
    task = airflow_services(**values).resources["SchedulerDefinition"]["Properties"]
    scheduler = task["ContainerDefinitions"][0]
    environ = {each["Name"]: each["Value"] for each in scheduler["Environment"]}
    set_limits(environ)
    assert environ["AIRFLOW__CORE__PARALLELISM"] == str(slots)


def test_parallelism_of_fifty_fixed_pools() -> None:
    task = airflow_services(FIXED).resources["SchedulerDefinition"]["Properties"]
    scheduler = task["ContainerDefinitions"][0]
    environ = {each["Name"]: each["Value"] for each in scheduler["Environment"]}
    set_limits(environ)
    assert environ["AIRFLOW__CORE__PARALLELISM"] == str(50 * 10 * 8)
