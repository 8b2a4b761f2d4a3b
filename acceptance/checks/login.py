"""Logins by API, by form and in a browser; wrong passwords are refused."""

from __future__ import annotations

import re
from urllib.parse import urljoin

import requests

from acceptance import browser
from acceptance.api import SECONDS, Api, ApiError, api, session
from acceptance.check import CheckFailed, Skipped
from acceptance.checks.dags import PLAIN
from acceptance.environment import Environment

FORM = "/auth/login/"
TOKEN_FIELD = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')
UNAUTHORISED = 401
REDIRECTED = 302
WRONG = "not the password"
SHOWN_TASK = "third"


def token(environment: Environment) -> str:
    """Ask for a token with the right password and a wrong one, and use it."""
    remedy, url = environment.logs("api-server"), environment.url
    with session(environment) as http:
        status = http.get(f"{url}/api/v2/dags", timeout=SECONDS).status_code
    if status != UNAUTHORISED:
        raise CheckFailed(
            f"Without a token the API answers {status}, not {UNAUTHORISED}.", remedy
        )
    user, _ = environment.admin
    try:
        Api(environment, user, WRONG).token()
    except ApiError as error:
        if error.status != UNAUTHORISED:
            raise
    else:
        raise CheckFailed(f"{user} gets a token for a wrong password.", remedy)
    dags = api(environment).get("/dags")["total_entries"]
    return f"401 without a token and for a wrong password; {user} sees {dags} DAGs"


def form(environment: Environment) -> str:
    """Log in by the form, through the load balancer, and follow where it leads."""
    remedy, url = environment.logs("api-server"), environment.url
    user, password = environment.admin
    with session(environment) as http:
        refusal = _submit(http, url, user, WRONG)
        if "_token" in http.cookies:
            raise CheckFailed(f"The form lets {user} in with a wrong password.", remedy)
        response = _submit(http, url, user, password)
        if response.status_code != REDIRECTED or refusal.url != response.url:
            raise CheckFailed(f"The form answers {response.status_code}.", remedy)
        target = urljoin(response.url, response.headers["Location"])
        if not target.startswith(f"{url}/"):
            raise CheckFailed(
                f"The form leads to {target}, which is not at {url}: the API server "
                "does not heed the load balancer's headers.",
                remedy,
            )
        page = http.get(target, timeout=SECONDS)
        me = http.get(f"{url}/ui/auth/me", timeout=SECONDS)
    if not page.ok or not me.ok or me.json().get("username") != user:
        raise CheckFailed(
            f"After the login the page answers {page.status_code}, and the question "
            f"for the current user {me.status_code}: {me.text[:200]}",
            remedy,
        )
    return f"CSRF token, cookie and redirects stay at {url}; logged in as {user}"


def in_browser(environment: Environment) -> str:
    """Log in with a real browser, see the DAG and its finished run."""
    program = browser.installed()
    if program is None:
        raise Skipped(browser.NOT_INSTALLED)
    user, password = environment.admin
    finished = next(
        (run for run in api(environment).runs(PLAIN) if run["state"] == "success"), None
    )
    if finished is None:
        raise CheckFailed(f"There is no finished run of {PLAIN} to show.")
    picture = environment.project / browser.REPORTS / f"browser-{environment.name}.png"
    browser.visit(
        program,
        browser.Visit(
            url=environment.url,
            user=user,
            password=password,
            dag_id=PLAIN,
            run_id=finished["dag_run_id"],
            task_id=SHOWN_TASK,
            picture=picture,
            ca_path=environment.ca_path,
        ),
        remedy=environment.logs("api-server"),
    )
    return f"logged in, saw {PLAIN} and its successful run; picture: {picture}"


def _submit(
    http: requests.Session, url: str, user: str, password: str
) -> requests.Response:
    """Send the form as a browser would; do not follow where it leads."""
    page = http.get(f"{url}{FORM}", params={"next": f"{url}/"}, timeout=SECONDS)
    csrf_token = TOKEN_FIELD.search(page.text)
    if not page.ok or not csrf_token:
        raise CheckFailed(
            f"{FORM} answers {page.status_code} and shows no form with a CSRF token."
        )
    fields = {"csrf_token": csrf_token[1], "username": user, "password": password}
    # Flask takes a form over HTTPS from its own pages only.
    return http.post(
        page.url,
        data=fields,
        headers={"Referer": page.url},
        allow_redirects=False,
        timeout=SECONDS,
    )
