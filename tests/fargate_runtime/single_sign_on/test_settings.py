"""What the parameters of single sign-on make of a user's claims."""

from __future__ import annotations

from pathlib import Path

import pytest

from fargate_runtime import single_sign_on
from fargate_runtime.env import EnvError
from fargate_runtime.single_sign_on.settings import SignOnSettings, discovery_url

ENVIRON = {
    "OIDC_ISSUER": "https://login.example.com",
    "OIDC_CLIENT_ID": "airflow",
    "OIDC_SCOPES": "openid email",
    "OIDC_GROUPS_CLAIM": "groups",
    "OIDC_ROLES": "data admins=Admin, analysts = Viewer,analysts=Op",
    "OIDC_DEFAULT_ROLE": "none",
    "LOCAL_ADMIN": "true",
}


@pytest.mark.parametrize(
    ("claim", "default", "roles"),
    [
        (["data admins"], "none", {"Admin"}),
        (["analysts", "others"], "none", {"Viewer", "Op"}),
        ("analysts", "none", {"Viewer", "Op"}),
        (["Analysts"], "none", set()),
        (["others"], "none", set()),
        (["others"], "Viewer", {"Viewer"}),
        (["data admins"], "Viewer", {"Admin"}),
        ([], "none", set()),
        (None, "none", set()),
        ({"data admins": True}, "none", set()),
        ([["data admins"], 7], "none", set()),
    ],
)
def test_roles_are_those_of_the_groups_or_the_default(
    claim: object, default: str, roles: set[str]
) -> None:
    settings = SignOnSettings.read(ENVIRON | {"OIDC_DEFAULT_ROLE": default})
    assert settings.role_names(settings.groups({"groups": claim})) == roles
    assert settings.role_names(settings.groups({"other": claim})) == (
        {default} - {"none"}
    )


def test_local_logins_are_closed_by_false_alone() -> None:
    assert SignOnSettings.read(ENVIRON).has_local_logins
    assert not SignOnSettings.read(ENVIRON | {"LOCAL_ADMIN": "false"}).has_local_logins


@pytest.mark.parametrize("name", ["OIDC_CLIENT_ID", "OIDC_SCOPES", "OIDC_DEFAULT_ROLE"])
def test_missing_settings_are_named(name: str) -> None:
    with pytest.raises(EnvError, match=name):
        SignOnSettings.read(ENVIRON | {name: ""})


@pytest.mark.parametrize("slash", ["", "/"])
def test_discovery_document_is_below_the_issuer(slash: str) -> None:
    assert discovery_url(f"https://login.example.com/t{slash}") == (
        "https://login.example.com/t/.well-known/openid-configuration"
    )


def test_only_an_api_server_with_an_issuer_gets_the_settings(tmp_path: Path) -> None:
    path = tmp_path / "config.py"
    for without in ("OIDC_ISSUER", "SIGN_ON_CONFIG"):
        environ = {**ENVIRON, "SIGN_ON_CONFIG": str(path), without: ""}
        single_sign_on.configure(environ)
        assert not path.exists()
        assert single_sign_on.CONFIG_FILE not in environ

    environ = {
        **ENVIRON,
        "SIGN_ON_CONFIG": str(path),
        "OIDC_CLIENT_SECRET": "hush",
    }
    single_sign_on.configure(environ)
    assert environ["AIRFLOW__FAB__CONFIG_FILE"] == str(path)
    text = path.read_text()
    compile(text, path, "exec")
    assert "hush" not in text
