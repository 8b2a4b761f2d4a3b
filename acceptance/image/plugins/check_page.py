"""A plugin with a page, and a module that DAGs import."""

from typing import ClassVar

from airflow.plugins_manager import AirflowPlugin
from fastapi import FastAPI

WORDS = "shared by a plugin"

app = FastAPI()


@app.get("/")
def page() -> dict[str, str]:
    """Return what the check looks for."""
    return {"words": WORDS}


class CheckPage(AirflowPlugin):
    """The page of the check."""

    name = "check_page"
    fastapi_apps: ClassVar = [
        {"app": app, "url_prefix": "/check-page", "name": "Check page"}
    ]
