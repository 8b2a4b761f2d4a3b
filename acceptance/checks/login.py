"""A person and a program get in with the first administrator's login, nobody else."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urljoin

import requests

from acceptance import browser
from acceptance.api import SECONDS, Api, ApiError, api, session
from acceptance.check import LeftOut, NotProven
from acceptance.containers import logs
from local.environment import Stage

FORM = "/auth/login/"
TOKEN_FIELD = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')
UNAUTHORISED = 401
REDIRECTED = 302
WRONG = "not the password"
SHOWN_DAG, SHOWN_TASK = "proof_plain", "third"


def token(stage: Stage) -> str:
    """Ask for a token with the right password and a wrong one, and use it."""
    remedy = logs(stage, "api-server")
    with session(_ca(stage)) as anybody:
        status = anybody.get(f"{stage.url}/api/v2/dags", timeout=SECONDS).status_code
    if status != UNAUTHORISED:
        raise NotProven(
            f"The API answers {status} to somebody without a token.", remedy
        )
    user, _ = stage.admin
    try:
        Api(stage.url, user, WRONG, ca_path=_ca(stage)).token()
    except ApiError as error:
        if error.status != UNAUTHORISED:
            raise
    else:
        raise NotProven(f"{user} gets a token for a wrong password.", remedy)
    dags = api(stage).get("/dags")["total_entries"]
    return f"401 without a token and for a wrong password; {user} sees {dags} DAGs"


def form(stage: Stage) -> str:
    """Log in by the form, through the load balancer, and follow where it leads."""
    remedy = logs(stage, "api-server")
    user, password = stage.admin
    with session(_ca(stage)) as one:
        refused = _fill_in(one, stage.url, user, WRONG)
        if "_token" in one.cookies:
            raise NotProven(f"The form lets {user} in with a wrong password.", remedy)
        entered = _fill_in(one, stage.url, user, password)
        if entered.status_code != REDIRECTED or refused.url != entered.url:
            raise NotProven(f"The form answers {entered.status_code}.", remedy)
        at = urljoin(entered.url, entered.headers["Location"])
        if not at.startswith(f"{stage.url}/"):
            raise NotProven(
                f"The form leads to {at}, which is not at {stage.url}: the API server "
                "does not heed what the load balancer says of the request.",
                remedy,
            )
        page = one.get(at, timeout=SECONDS)
        me = one.get(f"{stage.url}/ui/auth/me", timeout=SECONDS)
    if not page.ok or not me.ok or me.json().get("username") != user:
        raise NotProven(
            f"After the login the page answers {page.status_code} and who one is "
            f"{me.status_code}: {me.text[:200]}",
            remedy,
        )
    return f"CSRF token, cookie and redirects stay at {stage.url}; it is {user}"


def in_browser(stage: Stage) -> str:
    """Log in with a real browser, see the DAG and its finished run."""
    program = browser.installed()
    if program is None:
        raise LeftOut(browser.NOT_INSTALLED)
    user, password = stage.admin
    finished = next(
        (run for run in api(stage).runs(SHOWN_DAG) if run["state"] == "success"), None
    )
    if finished is None:
        raise NotProven(f"There is no finished run of {SHOWN_DAG} to show.")
    picture = stage.project / browser.REPORTS / f"browser-{stage.environment}.png"
    browser.visit(
        program,
        browser.Visit(
            url=stage.url,
            user=user,
            password=password,
            dag_id=SHOWN_DAG,
            run_id=finished["dag_run_id"],
            task_id=SHOWN_TASK,
            picture=picture,
            ca_path=_ca(stage),
        ),
        remedy=logs(stage, "api-server"),
    )
    return f"logged in, saw {SHOWN_DAG} and its successful run; picture: {picture}"


def _fill_in(
    one: requests.Session, url: str, user: str, password: str
) -> requests.Response:
    """Send the form as a browser would; do not follow where it leads."""
    shown = one.get(f"{url}{FORM}", params={"next": f"{url}/"}, timeout=SECONDS)
    found = TOKEN_FIELD.search(shown.text)
    if not shown.ok or not found:
        raise NotProven(
            f"{FORM} answers {shown.status_code} and shows no form with a CSRF token."
        )
    filled = {"csrf_token": found[1], "username": user, "password": password}
    # Flask takes a form over HTTPS from its own pages only.
    return one.post(
        shown.url,
        data=filled,
        headers={"Referer": shown.url},
        allow_redirects=False,
        timeout=SECONDS,
    )


def _ca(stage: Stage) -> Path:
    return stage.folder / "ca" / "ca.pem"
