"""An example: replace it with DAGs of your own, or put them beside it."""

from datetime import UTC, datetime

from airflow.sdk import dag, task


@dag(schedule="@daily", start_date=datetime(2026, 1, 1, tzinfo=UTC), catchup=False)
def hello() -> None:
    """Print a greeting in the log of a worker."""

    @task
    def greet() -> None:
        print("hello from a worker")  # noqa: T201 - shown in the log of the task

    greet()


hello()
