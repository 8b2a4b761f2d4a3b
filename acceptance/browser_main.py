"""Drives Chromium; run by the Python of the browser's virtual environment.

Reads what to do as JSON. Ends with status 1 and one line when a page does not show what
it should; the picture is taken either way.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import quote

# By name: the checker runs where it is not installed.
driver: Any = import_module("playwright.sync_api")


def look(page: Any, request: dict[str, Any]) -> None:
    """Log in as a person would and follow the way to the run."""
    url, dag_id, run_id = request["url"], request["dag_id"], request["run_id"]
    page.goto(f"{url}/", wait_until="commit")
    page.get_by_label("Username").fill(request["user"])
    page.get_by_label("Password").fill(request["password"])
    page.get_by_role("button", name="Sign In").click()
    page.wait_for_url(f"{url}/**", wait_until="commit")
    page.goto(f"{url}/dags", wait_until="commit")
    page.get_by_role("link", name=dag_id, exact=True).first.wait_for()
    page.get_by_role("link", name=dag_id, exact=True).first.click()
    page.goto(f"{url}/dags/{dag_id}/runs/{quote(run_id, '')}", wait_until="commit")
    page.get_by_text("Success").first.wait_for()
    page.get_by_text(run_id).first.wait_for()
    page.get_by_role("link", name=request["task_id"], exact=True).first.wait_for()


def main() -> int:
    """Visit; say what went wrong on the last line."""
    request: dict[str, Any] = json.load(sys.stdin)
    with driver.sync_playwright() as drivers:
        chromium = drivers.chromium.launch(
            executable_path=request["program"],
            args=[
                # The key that the environment's own authority has signed.
                f"--ignore-certificate-errors-spki-list={request['trusted_key']}",
                # A check calls nothing on the internet.
                *("--disable-background-networking", "--disable-component-update"),
                # Its sandbox refuses to run for root, and the page is our own.
                *(["--no-sandbox"] if Path("/proc/self").stat().st_uid == 0 else []),
            ],
        )
        page = chromium.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(1000 * request["patience_seconds"])
        try:
            look(page, request)
        except driver.Error as error:
            words = " ".join(str(error).split())
            sys.stderr.write(f"At {page.url}: {words[:300]}\n")
            return 1
        finally:
            page.screenshot(path=request["picture"])
            chromium.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
