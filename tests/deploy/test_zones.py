"""Zones are chosen once and kept."""

from __future__ import annotations

from typing import Any

import pytest

from cli.errors import UsageError
from deploy.dist import Dist, Environment
from deploy.stacks import find
from deploy.zones import with_zones
from tests.deploy.fakes import FILES, FakeAws, described, dist

NAME = "airflow-dev"


def zone(name: str, **more: str) -> dict[str, str]:
    usual = {"ZoneId": f"id-{name}", "ZoneType": "availability-zone"}
    return {"ZoneName": name, "State": "available", **usual, **more}


ZONES = (
    zone("x-1d"),
    zone("x-1a", ZoneId="use1-az3"),
    zone("x-1-lax-1a", ZoneType="local-zone"),
    zone("x-1b"),
    zone("x-1c"),
    zone("x-1e", State="impaired"),
    zone("x-1f"),
)


def built() -> Dist:
    defaults = {"AvailabilityZones": "", "ZoneCount": 2, "ExistingVpcId": ""}
    parameters = {
        name: {"Type": "String", "Default": default}
        for name, default in defaults.items()
    }
    return dist({**FILES, "parent.template.json": {"Parameters": parameters}})


def chosen(
    previous: dict[str, str] | None = None,
    zones: tuple[dict[str, str], ...] = ZONES,
    **parameters: str,
) -> str | None:
    """Return the zones of a launch, with the parameters of the stack before it."""
    answers: dict[str, Any] = {
        "describe_availability_zones": {"AvailabilityZones": list(zones)}
    }
    stack = None
    if previous is not None:
        pairs = [
            {"ParameterKey": name, "ParameterValue": value}
            for name, value in previous.items()
        ]
        answers["describe_stacks"] = described(
            NAME, "CREATE_COMPLETE", Parameters=pairs
        )
        stack = find(FakeAws(**answers), NAME)
    environment = Environment("dev", NAME, parameters)
    done = with_zones(FakeAws(**answers), built(), environment, stack)
    return done.parameters.get("AvailabilityZones")


def test_first_launch_names_zones_that_offer_everything(
    capsys: pytest.CaptureFixture[str],
) -> None:
    # A third one is spare, for a later ZoneCount of 3.
    assert chosen() == "x-1b,x-1c,x-1d"
    assert "x-1b, x-1c, x-1d" in capsys.readouterr().err


def test_later_launches_keep_the_zones_and_their_order() -> None:
    assert chosen({"AvailabilityZones": "x-1f,x-1a,x-1c"}) == "x-1f,x-1a,x-1c"
    assert chosen({"AvailabilityZones": "x-1f,x-1c"}) == "x-1f,x-1c"
    # A third is added behind them.
    grown = chosen({"AvailabilityZones": "x-1f,x-1c"}, ZoneCount="3")
    assert grown == "x-1f,x-1c,x-1b"


@pytest.mark.parametrize("previous", [{}, {"AvailabilityZones": ""}])
def test_zones_that_cloudformation_chose_are_not_named(
    previous: dict[str, str],
) -> None:
    """Another choice would replace every subnet."""
    assert chosen(previous) is None


def test_named_zones_and_existing_vpcs_are_left_alone() -> None:
    assert chosen(AvailabilityZones="x-1a,x-1b") == "x-1a,x-1b"
    assert chosen(ExistingVpcId="vpc-0123456789abcdef0") is None


def test_too_few_zones_are_refused_before_the_launch() -> None:
    with pytest.raises(UsageError, match=r"offers this account 2 zones of 3.*to 2"):
        chosen(zones=ZONES[:4], ZoneCount="3")
