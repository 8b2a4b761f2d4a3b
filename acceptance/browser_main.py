"""Drives Chromium; run by the Python of the browser's environment.

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


def look(page: Any, asked: dict[str, Any]) -> None:
    """Log in as a person would and follow the way to the run."""
    url, dag_id, run_id = asked["url"], asked["dag_id"], asked["run_id"]
    page.goto(f"{url}/", wait_until="commit")
    page.get_by_label("Username").fill(asked["user"])
    page.get_by_label("Password").fill(asked["password"])
    page.get_by_role("button", name="Sign In").click()
    page.wait_for_url(f"{url}/**", wait_until="commit")
    page.goto(f"{url}/dags", wait_until="commit")
    page.get_by_role("link", name=dag_id, exact=True).first.wait_for()
    page.get_by_role("link", name=dag_id, exact=True).first.click()
    page.goto(f"{url}/dags/{dag_id}/runs/{quote(run_id, '')}", wait_until="commit")
    page.get_by_text("Success").first.wait_for()
    page.get_by_text(run_id).first.wait_for()
    page.get_by_role("link", name=asked["task_id"], exact=True).first.wait_for()


def main() -> int:
    """Visit; say what went wrong on the last line."""
    asked: dict[str, Any] = json.load(sys.stdin)
    with driver.sync_playwright() as drivers:
        chromium = drivers.chromium.launch(
            executable_path=asked["program"],
            args=[
                # The stage's own authority, known by its key; no other is trusted more.
                f"--ignore-certificate-errors-spki-list={asked['trusted_key']}",
                # What it would ask the internet is no business of a rehearsal.
                *("--disable-background-networking", "--disable-component-update"),
                # Its sandbox refuses to run for root, and the page is our own.
                *(["--no-sandbox"] if Path("/proc/self").stat().st_uid == 0 else []),
            ],
        )
        page = chromium.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(1000 * asked["patience_seconds"])
        try:
            look(page, asked)
        except driver.Error as error:
            words = " ".join(str(error).split())
            sys.stderr.write(f"At {page.url}: {words[:300]}\n")
            return 1
        finally:
            page.screenshot(path=asked["picture"])
            chromium.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
