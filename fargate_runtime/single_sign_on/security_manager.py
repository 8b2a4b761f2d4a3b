"""FAB's security manager with users and roles of an OpenID Connect provider.

A user's name is made of the claim ``sub``, the only one that a provider never gives to
another user. A name or an address that users choose themselves could be that of a local
administrator. Roles are those of the groups at each login, and no others.
"""

from __future__ import annotations

import logging
import os
import secrets
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.fab.auth_manager.security_manager.override import (
    FabAirflowSecurityManagerOverride,
)
from airflow.providers.fab.auth_manager.views.auth_oauth import CustomAuthOAuthView
from flask import current_app, flash
from flask_appbuilder import expose
from flask_appbuilder.security.views import AuthDBView

from fargate_runtime.single_sign_on.settings import PROVIDER, SignOnSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

log = logging.getLogger(__name__)

ADMIN = "Admin"

BUTTON = """
<div class="container">
  <div class="col-md-6 col-md-offset-3" style="margin-top: 50px">
    <a class="btn btn-primary btn-block" href="{{
      url_for(appbuilder.sm.auth_view.endpoint + '.login', provider='PROVIDER',
              next=request.args.get('next', '')) }}">Single sign-on</a>
  </div>
</div>
""".replace("PROVIDER", PROVIDER)
LOGIN_PAGE = (
    '{% extends "appbuilder/base.html" %}{% block content %}'
    f"{BUTTON}{{% endblock %}}"
)
LOGIN_PAGE_WITH_FORM = (
    '{% extends "appbuilder/general/security/login_db.html" %}{% block content %}'
    f"{BUTTON}{{{{ super() }}}}{{% endblock %}}"
)


class SignOnError(Exception):
    """The provider's answer names no user; the message is for the log."""


class SignOnView(CustomAuthOAuthView):  # type: ignore[misc]  # FAB is not installed here
    """The page with a button for the provider, and a form for local logins if any."""

    def render_template(self, _template: str, **variables: Any) -> Any:
        """Return the one page of this view. Flask takes its text beside a name."""
        has_form = self.appbuilder.sm.sign_on.has_local_logins
        page = LOGIN_PAGE_WITH_FORM if has_form else LOGIN_PAGE
        template = current_app.jinja_env.from_string(page)
        return super().render_template(template, **variables)

    @expose("/login/", methods=["GET", "POST"])  # type: ignore[untyped-decorator]
    @expose("/login/<provider>")  # type: ignore[untyped-decorator]
    def login(self, provider: str | None = None) -> Any:
        """Show the page, take its form, or lead to the provider."""
        if provider is None and self.appbuilder.sm.sign_on.has_local_logins:
            return AuthDBView.login(self)
        return super().login(provider)


class SignOnSecurityManager(FabAirflowSecurityManagerOverride):  # type: ignore[misc]  # as above
    """Users of the provider beside local ones."""

    authoauthview = SignOnView

    @cached_property
    def sign_on(self) -> SignOnSettings:
        """The operator's settings."""
        return SignOnSettings.read(os.environ)

    def get_oauth_user_info(self, provider: str, resp: Mapping[str, Any]) -> Any:
        """Return what FAB needs to know of a user.

        The claims are those of the ID token, whose signature, issuer, audience, nonce
        and times Authlib has checked. Some providers have the groups or the address at
        the userinfo endpoint alone.
        """
        claims = dict(resp.get("userinfo") or {})
        if not claims.get("sub"):
            raise SignOnError("the provider returned no ID token with a subject")
        if not {self.sign_on.groups_claim, "email"} <= claims.keys():
            claims = {**self._more_claims(provider, resp, claims["sub"]), **claims}
        return {
            "username": f"{PROVIDER}_{claims['sub']}",
            "first_name": claims.get("given_name") or claims.get("name") or "",
            "last_name": claims.get("family_name") or "",
            "email": claims.get("email") or "",
            "role_keys": self.sign_on.groups(claims),
        }

    def _more_claims(
        self, provider: str, token: Mapping[str, Any], subject: str
    ) -> dict[str, Any]:
        client = self.oauth_remotes[provider]
        if "userinfo_endpoint" not in client.load_server_metadata():
            return {}
        claims = dict(client.userinfo(token=token))
        if claims.get("sub") != subject:
            raise SignOnError("the userinfo endpoint described another user")
        return claims

    def auth_user_oauth(
        self,
        userinfo: Mapping[str, Any],
        rotate_session_id: bool = True,  # noqa: FBT001, FBT002 - as FAB calls it
    ) -> Any:
        """Return the user with exactly the roles of their groups; None to refuse."""
        name, email = userinfo["username"], userinfo["email"]
        user = self.find_user(username=name)
        roles = self._known_roles(self.sign_on.role_names(userinfo["role_keys"]))
        if user is not None:
            # FAB finds names whatever their case, and subjects differ by it.
            if user.username != name:
                return self._refuse(name, "another user has this name in other letters")
            user.roles = roles
            self.update_user(user)
        if not roles:
            return self._refuse(name, "none of the groups has a role")
        if user is None:
            if email and self.find_user(email=email):
                return self._refuse(name, "another user has this e-mail address")
            self.add_user(
                username=name,
                first_name=userinfo["first_name"],
                last_name=userinfo["last_name"],
                email=email or f"{name}@email.notfound",
                role=roles,
                # No password logs this user in.
                password=secrets.token_urlsafe(32),
            )
        return super().auth_user_oauth(userinfo, rotate_session_id)

    def auth_user_db(
        self,
        username: str,
        password: str,
        rotate_session_id: bool = True,  # noqa: FBT001, FBT002 - as FAB calls it
    ) -> Any:
        """Return the local user of a password; no administrator if that is closed."""
        if not self.sign_on.has_local_logins:
            user = self.find_user(username=username) or self.find_user(email=username)
            if user and ADMIN in {role.name for role in user.roles}:
                log.warning("Password of %s refused: LocalAdmin is false", username)
                return None
        return super().auth_user_db(username, password, rotate_session_id)

    def _known_roles(self, names: Iterable[str]) -> list[Any]:
        return [role for name in sorted(names) if (role := self.find_role(name))]

    @staticmethod
    def _refuse(name: str, reason: str) -> None:
        log.warning("Login of %s refused: %s", name, reason)
        flash(f"Your login is refused: {reason}.", "warning")
