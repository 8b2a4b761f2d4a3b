"""The table of DAG bundles: what Airflow gets for each kind, and what is refused."""

from __future__ import annotations

import pytest

from compiler.wiring import WiringError
from templates.airflow.bundles import (
    BUNDLES,
    Bundle,
    Files,
    Git,
    Releases,
    check_bundles,
)


def test_git_bundle_follows_a_branch() -> None:
    url = "https://github.com/example/dags"
    public = Git(name="shared", url=url, branch="main")
    assert public.settings == {
        "repo_url": url,
        "tracking_ref": "main",
        "refresh_interval": 60,
    }
    private = Git(
        name="own", url=url, branch="main", folder="dags", connection="git_own"
    )
    assert (
        private.settings.items() >= {"subdir": "dags", "git_conn_id": "git_own"}.items()
    )


def test_bundle_of_files_may_have_a_prefix() -> None:
    assert "prefix" not in Files(name="dags").settings
    assert Files(name="dags", prefix="team/").settings["prefix"] == "team/"


@pytest.mark.parametrize(
    ("bundles", "what"),
    [
        ((Releases(name="a"), Files(name="a")), "'a' is used 2 times"),
        ((Releases(name="Team A"),), "small letters"),
        ((Releases(name="../a"),), "small letters"),
    ],
)
def test_wrong_table_is_refused(bundles: tuple[Bundle, ...], what: str) -> None:
    with pytest.raises(WiringError, match=what):
        check_bundles(bundles)
    check_bundles(BUNDLES)
