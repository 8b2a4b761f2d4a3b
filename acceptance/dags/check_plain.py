"""Plain tasks in a row, each of which says something in its log."""

from __future__ import annotations

import logging

from airflow.sdk import dag, task


@dag(schedule=None, is_paused_upon_creation=False)
def check_plain() -> None:
    """Three plain tasks."""

    @task
    def first() -> str:
        logging.getLogger(__name__).info("said by the first of the plain tasks")
        return "one"

    @task
    def second(before: str) -> str:
        return f"{before} two"

    @task
    def third(before: str) -> str:
        return f"{before} three"

    third(second(first()))


check_plain()
