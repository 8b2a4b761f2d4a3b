"""A team's packages and plugins, as ``build.py local`` installs them."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from acceptance.api import SECONDS, api, session
from acceptance.check import CheckFailed
from acceptance.checks import listener
from acceptance.checks.dags import PICKUP_SECONDS
from cli.errors import Failure
from local.environment import LocalEnvironment
from local.packages import TeamPackages
from team_image import resolution
from team_image.folder import FOLDER, REQUIREMENTS, ImageFolder

HERE = Path(__file__).parents[1]
DAGS = HERE / "package_dags"
DAG_ID = "check_package"
PAGE = "/check-page/"
WORDS = "shared by a plugin"
RUN_SECONDS = 300.0

CONFLICT = "requests==2.0.0"
"""Airflow's constraints have another version."""


def team_packages() -> TeamPackages:
    """Return the packages and plugins of the check."""
    folder = HERE / FOLDER
    return TeamPackages(ImageFolder(folder, folder / REQUIREMENTS))


def used(environment: LocalEnvironment) -> str:
    """Run a DAG with a package of a team, open a plugin's page, refuse a conflict."""
    airflow, remedy = api(environment), environment.logs("api-server", "worker")
    airflow.wait_for_dag(DAG_ID, seconds=PICKUP_SECONDS, remedy=remedy)
    run_id = airflow.trigger(DAG_ID)
    with session(environment) as http:
        page = http.get(environment.url + PAGE, timeout=SECONDS)
    if page.status_code != listener.OK or WORDS not in page.text:
        raise CheckFailed(f"{PAGE} is answered {page.status_code}.", remedy)
    conflict = _conflict()
    airflow.wait_for_run(DAG_ID, run_id, seconds=RUN_SECONDS, remedy=remedy)
    if WORDS not in airflow.returned(DAG_ID, run_id, "say"):
        raise CheckFailed("The package did not say what it was told.", remedy)
    return f"imported by a DAG; the plugin's page is shown; refused: {conflict}"


def _conflict() -> str:
    """Return how a version is refused that does not go with Airflow."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / REQUIREMENTS
        file.write_text(f"{CONFLICT}\n")
        image = ImageFolder(Path(folder), file)
        try:
            resolution.pins(image, (), ("--python", sys.executable))
        except Failure as failure:
            (problem,) = failure.problems
            return problem.what
    raise CheckFailed(f"{CONFLICT} was accepted.")
