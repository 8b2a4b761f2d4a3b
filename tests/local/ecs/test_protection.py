"""The rules of ECS for task scale-in protection."""

from __future__ import annotations

import pytest

from local.ecs.protection import ProtectionRefusedError, TaskProtection


def ask(
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


def test_it_lasts_two_hours_unless_told_otherwise() -> None:
    one = TaskProtection()
    ask(one)
    assert one.is_on(7199)
    assert not one.is_on(7200)
    ask(one, minutes=1, now=100)
    assert not one.is_on(160)


@pytest.mark.parametrize("minutes", [0, -1, 2881])
def test_a_time_out_of_range_is_refused(minutes: int) -> None:
    with pytest.raises(ValueError, match="between 1 and 2880"):
        ask(TaskProtection(), minutes=minutes)


def test_a_task_of_no_service_cannot_be_protected() -> None:
    with pytest.raises(ProtectionRefusedError) as refused:
        ask(TaskProtection(), is_of_service=False)
    assert refused.value.reason == "TASK_NOT_VALID"


def test_more_protected_tasks_than_desired_block_every_call() -> None:
    # What made the scaling protocol unprotect before it lowers the count.
    one = TaskProtection()
    ask(one, others=1, desired=2)
    for is_enabled in (True, False):
        with pytest.raises(ProtectionRefusedError) as refused:
            ask(one, is_enabled=is_enabled, others=2, desired=1)
        assert refused.value.reason == "DEPLOYMENT_BLOCKED"
    assert one.is_on(1)


def test_a_protected_task_may_renew_while_the_count_fits() -> None:
    one = TaskProtection()
    ask(one, others=1, desired=2)
    ask(one, others=1, desired=2, now=100, minutes=1)
    ask(one, is_enabled=False, others=1, desired=2, now=100)
    assert not one.is_on(100)
