"""The rules of ECS for task scale-in protection."""

from __future__ import annotations

import pytest

from local.ecs.protection import ProtectionRefusedError, TaskProtection


def change(
    protection: TaskProtection,
    *,
    is_enabled: bool = True,
    minutes: int | None = None,
    now: float = 0,
    is_of_service: bool = True,
    others: int = 0,
    desired: int = 1,
) -> None:
    protection.change(
        is_enabled=is_enabled,
        minutes=minutes,
        now=now,
        is_of_service=is_of_service,
        others=others,
        desired=desired,
    )


def test_protection_lasts_two_hours_by_default() -> None:
    protection = TaskProtection()
    change(protection)
    assert protection.is_on(7199)
    assert not protection.is_on(7200)
    change(protection, minutes=1, now=100)
    assert not protection.is_on(160)


@pytest.mark.parametrize("minutes", [0, -1, 2881])
def test_minutes_out_of_range_are_refused(minutes: int) -> None:
    with pytest.raises(ValueError, match="between 1 and 2880"):
        change(TaskProtection(), minutes=minutes)


def test_task_of_no_service_cannot_be_protected() -> None:
    with pytest.raises(ProtectionRefusedError) as refused:
        change(TaskProtection(), is_of_service=False)
    assert refused.value.reason == "TASK_NOT_VALID"


def test_protection_is_blocked_above_the_desired_count() -> None:
    # Therefore scaling ends protection before it lowers the count.
    protection = TaskProtection()
    change(protection, others=1, desired=2)
    for is_enabled in (True, False):
        with pytest.raises(ProtectionRefusedError) as refused:
            change(protection, is_enabled=is_enabled, others=2, desired=1)
        assert refused.value.reason == "DEPLOYMENT_BLOCKED"
    assert protection.is_on(1)


def test_protection_is_renewed_within_the_desired_count() -> None:
    protection = TaskProtection()
    change(protection, others=1, desired=2)
    change(protection, others=1, desired=2, now=100, minutes=1)
    change(protection, is_enabled=False, others=1, desired=2, now=100)
    assert not protection.is_on(100)
