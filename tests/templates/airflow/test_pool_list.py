"""What the autoscaler is told of the pools: valid for all that CloudFormation accepts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cli import product
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
from templates.airflow.pools import KNOBS, POOLS, Pool
from templates.checks.table import checks
from tests.resolver import Stack, deploy

FIXED = tuple(
    Pool(name=f"team-{number}", queue=f"queue-{number}", asks=())
    for number in range(50)
)
"""Fifty pools cannot each ask for everything: CloudFormation's 200 parameters."""

EVERY_FIELD = frozenset(PoolSettings.__dataclass_fields__)


@cache
def library(pools: tuple[Pool, ...]) -> dict[str, Any]:
    root = Build(product.assets()).root(parent.define_with(pools))
    return {page.path: json.loads(page.text()) for page in root.walk()}


def launched(pools: tuple[Pool, ...] = POOLS, /, **chosen: str) -> Stack:
    pages = library(pools)
    return deploy(pages["parent.template.json"], pages, chosen).child("AirflowServices")


def told(services: Stack) -> str:
    """What the autoscaler's container finds in its environment."""
    task = services.resources["SchedulerDefinition"]["Properties"]
    (autoscaler,) = (
        one for one in task["ContainerDefinitions"] if one["Name"] == AUTOSCALER.name
    )
    environment = {each["Name"]: each["Value"] for each in autoscaler["Environment"]}
    return str(environment["SCALING_POOLS"])


def accepted(definition: Mapping[str, Any]) -> st.SearchStrategy[str]:
    """Whatever a parameter takes, written as a person would write it."""
    if "AllowedValues" in definition:
        return st.sampled_from([str(value) for value in definition["AllowedValues"]])
    if definition["Type"] == "Number":
        least = int(definition.get("MinValue", 0))
        return st.integers(least, int(definition.get("MaxValue", 5000))).map(str)
    return st.from_regex(definition["AllowedPattern"], fullmatch=True).filter(
        lambda text: "\n" not in text
    )


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_the_autoscaler_understands_whatever_an_operator_may_choose(
    data: st.DataObject,
) -> None:
    definitions = library(POOLS)["parent.template.json"]["Parameters"]
    chosen = {
        name: data.draw(accepted(definition), name)
        for name, definition in definitions.items()
        if name.startswith("DefaultWorkers")
    }
    fewest, most = sorted(
        int(chosen[f"DefaultWorkers{bound}"]) for bound in ("Minimum", "Maximum")
    )
    chosen |= {
        "DefaultWorkersMinimum": str(fewest),
        "DefaultWorkersMaximum": str(max(1, most)),
    }

    first, second = AutoscalerSettings.parse(told(launched(**chosen))).pools

    assert first == PoolSettings(
        name="default",
        queue="default",
        concurrency=int(chosen["DefaultWorkersConcurrency"]),
        minimum=fewest,
        maximum=max(1, most),
        scaling_profile=ScalingProfile(chosen["DefaultWorkersScalingProfile"]),
        target_start_seconds=seconds(chosen["DefaultWorkersTargetStartSeconds"]),
        scale_in_delay_seconds=seconds(chosen["DefaultWorkersScaleInDelaySeconds"]),
        predictive_scaling=chosen["DefaultWorkersPredictiveScaling"] == "true",
    )
    assert second.name == "spot"


def seconds(text: str) -> int | None:
    return int(text) if text else None


def test_what_an_entry_fixes_is_told_as_what_an_operator_chooses() -> None:
    pool = Pool(
        name="special",
        queue='"bücher"',
        concurrency=3,
        minimum=2,
        maximum=7,
        scaling_profile="economy",
        target_start_seconds=0,
        scale_in_delay_seconds=90,
        predictive_scaling=False,
        asks=(),
    )
    (found,) = AutoscalerSettings.parse(told(launched((pool,)))).pools
    assert {name: getattr(found, name) for name in EVERY_FIELD} == {
        name: getattr(pool, name) for name in EVERY_FIELD
    }


@pytest.mark.parametrize("scaling_profile", ScalingProfile)
def test_an_empty_objective_is_the_styles_own(scaling_profile: ScalingProfile) -> None:
    (pool, _) = AutoscalerSettings.parse(
        told(launched(DefaultWorkersScalingProfile=scaling_profile))
    ).pools
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
            target_start_seconds=9999,
            scale_in_delay_seconds=9999,
            asks=("maximum",),
        )
        for number in range(50)
    )
    for pools in (FIXED, longest):
        services = launched(pools)
        for name, value in services.parameters.items():
            assert len(str(value).encode()) <= 4096, name
        names = [pool.name for pool in AutoscalerSettings.parse(told(services)).pools]
        assert names == [pool.name for pool in pools]
        # And ECS takes 64 KiB a task definition.
        definition = services.resources["SchedulerDefinition"]["Properties"]
        assert len(json.dumps(definition)) < 60 * 1024


def test_pools_that_do_not_fit_are_an_error_of_the_build() -> None:
    many = tuple(
        Pool(name=f"{number}-{'n' * 1000}", queue=f"{number}", asks=())
        for number in range(50)
    )
    with pytest.raises(WiringError, match="shorter names"):
        library(many)


def test_the_knobs_of_the_autoscaler_are_knobs_of_the_operator() -> None:
    asked = {knob.field for knob in KNOBS}
    assert EVERY_FIELD - {"name", "queue"} <= asked


CONTRADICTIONS = (
    {"Minimum": "5", "Maximum": "2"},
    {"Minimum": "-1"},
    {"Maximum": "0", "Minimum": "0", "FallbackMinimum": "0"},
    {"Maximum": "5001"},
    {"Concurrency": "0"},
    {"Concurrency": "2.5"},
    {"Concurrency": "08"},
    {"Style": "fast"},
    {"PredictiveScaling": "maybe"},
    {"TargetStartSeconds": "-1"},
    {"TargetStartSeconds": "1000000"},
    {"TargetStartSeconds": "015"},
    {"ScaleInDelaySeconds": "a minute"},
    {"ScaleInDelaySeconds": "1000000"},
)


@pytest.mark.parametrize("choices", CONTRADICTIONS, ids=str)
def test_what_the_autoscaler_would_refuse_is_refused_before_anything_is_made(
    choices: dict[str, str],
) -> None:
    # It would find out in the night, when it starts; the operator is told at the build.
    chosen = {f"DefaultWorkers{name}": value for name, value in choices.items()}
    with pytest.raises(SettingsError):
        AutoscalerSettings.parse(told(launched(**chosen)))
    environment = EnvironmentFile(name="x", source="x.json", parameters=chosen)
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
def test_a_table_that_contradicts_itself_is_refused_in_the_brains_words(
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
    ("chosen", "slots"),
    [
        ({}, 160),
        ({"DefaultWorkersMaximum": "25", "DefaultWorkersConcurrency": "16"}, 480),
        ({"Parallelism": "400"}, 400),
    ],
)
def test_airflow_may_run_what_the_workers_of_all_pools_can(
    chosen: dict[str, str], slots: int
) -> None:
    # Of several schedulers each may, since one may be left alone.
    task = launched(**chosen).resources["SchedulerDefinition"]["Properties"]
    scheduler = task["ContainerDefinitions"][0]
    environ = {each["Name"]: each["Value"] for each in scheduler["Environment"]}
    set_limits(environ)
    assert environ["AIRFLOW__CORE__PARALLELISM"] == str(slots)


def test_fifty_fixed_pools_add_up_too() -> None:
    task = launched(FIXED).resources["SchedulerDefinition"]["Properties"]
    scheduler = task["ContainerDefinitions"][0]
    environ = {each["Name"]: each["Value"] for each in scheduler["Environment"]}
    set_limits(environ)
    assert environ["AIRFLOW__CORE__PARALLELISM"] == str(50 * 10 * 8)
