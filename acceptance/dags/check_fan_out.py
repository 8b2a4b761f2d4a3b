"""Fifty mapped tasks, and one that takes in what all of them passed on."""

from __future__ import annotations

import logging

from airflow.sdk import dag, task

WIDTH = 50


@dag(schedule=None, is_paused_upon_creation=False)
def check_fan_out() -> None:
    """Fan out and in again."""

    @task
    def square(number: int) -> int:
        logging.getLogger(__name__).info("square of %d", number)
        return number * number

    @task
    def total(squares: list[int]) -> int:
        return sum(squares)

    total(square.expand(number=list(range(WIDTH))))


check_fan_out()
