"""A DAG that writes an asset, and one that runs when the asset was written."""

from __future__ import annotations

from airflow.sdk import Asset, dag, task

WRITTEN = Asset("s3://acceptance/check")


@dag(schedule=None, is_paused_upon_creation=False)
def check_asset_writer() -> None:
    """Write the asset."""

    @task(outlets=[WRITTEN])
    def write() -> None:
        """Nothing has to be written for an asset to count as written."""

    write()


@dag(schedule=[WRITTEN], is_paused_upon_creation=False)
def check_asset_reader() -> None:
    """Run when the asset was written."""

    @task
    def read() -> str:
        return "seen"

    read()


check_asset_writer()
check_asset_reader()
