"""A DAG with a package of ``acceptance/image``, and a module of its plugins."""

import cowsay
from airflow.sdk import dag, task
from check_page import WORDS


@dag(schedule=None, is_paused_upon_creation=False)
def check_package() -> None:
    """Return what the package makes of the plugin's words."""

    @task
    def say() -> str:
        return cowsay.get_output_string("cow", WORDS)

    say()


check_package()
