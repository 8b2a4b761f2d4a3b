"""The command ``dags test``: run one DAG once on this machine, for a pipeline."""

# ruff: noqa: PLC0415 - the help of the command loads neither the compiler nor boto3

from __future__ import annotations

from pathlib import Path

import click

from cli import console, local, product
from cli.command import Command
from cli.deployment import environment_names
from cli.errors import ExitCode, Failure


@click.command(
    cls=Command,
    meanings={ExitCode.FAILED: "failed: a task of the DAG, or its packages"},
)
@click.argument("environment", metavar="ENV", shell_complete=environment_names)
@click.argument("dag_id")
@local.DAGS
@local.REQUIREMENTS
@click.option(
    "--conf", metavar="JSON", default="", help="Configuration of the run, as JSON."
)
def test(
    environment: str,
    dag_id: str,
    *,
    dags: Path | None,
    requirements: Path | None,
    conf: str,
) -> ExitCode:
    r"""Run one DAG once on this machine, and end with the result of the run.

    Needs no running environment: the tasks run in one process, one after the other,
    with a database that is deleted afterwards. Packages and plugins are those of
    image/, as for `local`; the Airflow is that of the environment.

    Tasks really do what they do. Give them connections and variables as
    AIRFLOW_CONN_... and AIRFLOW_VAR_...; they find the AWS credentials of the shell.

    \b
    Examples
      ./build.py dags test dev hello
      ./build.py dags test dev report --dags ../our-dags --conf '{"day": "2026-01-01"}'
    """
    from compiler import output, parameters
    from local import airflow_image, dag_test

    local.check_system()
    loaded = parameters.load(
        parameters.find(output.relative(product.ROOT / "parameters"), environment)
    )
    if loaded.problems:
        raise Failure(*loaded.problems)
    image = loaded.parameters.get("Image", "")
    airflow_image.check(image, airflow_image.airflow_version(product.ROOT))
    folder = (dags or product.ROOT / "dags").absolute()
    packages = local.team_packages(product.ROOT, requirements, folder)
    dag_test.run(
        dag_id,
        folder,
        packages.install(product.ROOT, console.message),
        plugins=packages.image.plugin_files(),
        runtime=product.assets()["runtime"].content,
        variables=product.parsing_settings(),
        conf=conf,
        tell=console.message,
    )
    console.result(f"DAG {dag_id} succeeded.")
    return ExitCode.OK
