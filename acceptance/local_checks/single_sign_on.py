"""Logins through an OpenID Connect provider, outside the VPC by its address."""

from __future__ import annotations

import json
import secrets
from functools import cached_property
from urllib.parse import urljoin

import requests

from acceptance.api import SECONDS, session
from acceptance.check import CheckFailed, Pending, Skipped, until
from acceptance.oidc_provider import OidcError, OidcProvider, OidcUser
from local.ecs import connect_filter
from local.environment import LocalEnvironment

ADDRESS = "192.0.2.20"
"""Of the range for documentation, so nothing else has it."""

HTTPS = 443
CLIENT_ID = "airflow-check"
CLIENT_SECRET = secrets.token_urlsafe()
SECRET_NAME = "verify/single-sign-on"  # noqa: S105 - the name of a secret
SECRETS = {SECRET_NAME: json.dumps({"password": CLIENT_SECRET})}
"""Secrets of the operator, which must be there before the launch."""

ADMINS, ANALYSTS = "data-admins", "analysts"
PARAMETERS = {
    "OidcIssuer": f"https://{ADDRESS}",
    "OidcClientId": CLIENT_ID,
    "OidcClientSecretArn": f"<{SECRET_NAME}>:password",
    "OidcRoles": f"{ADMINS}=Admin, {ANALYSTS}=Viewer",
}
"""Local logins stay, so these change no other check."""

START = "/auth/login/oidc"
CALLBACK = "/auth/oauth-authorized/oidc"
SUBJECT, STRANGER = "check-user", "check-stranger"
MOST_REDIRECTS = 10
CACHE_SECONDS = 45.0
"""An API server remembers the roles of a user for 30 s."""

OK, FORBIDDEN, UNAUTHORISED = 200, 403, 401


class SingleSignOn:
    """The provider, and the check that logs in with it."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self.provider = OidcProvider(
            (ADDRESS, HTTPS), client_id=CLIENT_ID, client_secret=CLIENT_SECRET
        )

    @cached_property
    def is_possible(self) -> bool:
        """Whether this machine can lead an address elsewhere."""
        return not connect_filter.obstacle()

    def log_in(self, environment: LocalEnvironment) -> str:
        """Log in with roles by groups, lose a group, and log in without a group."""
        if not self.is_possible:
            raise Skipped(connect_filter.obstacle())
        self.provider.redirect_uri = environment.url + CALLBACK
        # Admins read connections, viewers DAGs alone.
        expected = (
            ((ADMINS, "others"), (OK, OK)),
            ((ANALYSTS,), (OK, FORBIDDEN)),
            (("others",), (UNAUTHORISED, UNAUTHORISED)),
        )
        for groups, answers in expected:
            self._expect(environment, OidcUser(SUBJECT, groups), answers)
        self._expect(environment, OidcUser(STRANGER, ()), (UNAUTHORISED, UNAUTHORISED))
        return (
            f"{ADMINS} logged in as Admin, and with {ANALYSTS} instead as Viewer; "
            f"without a group with a role refused; redirected to {CALLBACK}"
        )

    def _expect(
        self, environment: LocalEnvironment, user: OidcUser, expected: tuple[int, int]
    ) -> None:
        """Log in, and wait until DAGs and connections are answered so."""
        self.provider.user = user
        groups = ", ".join(user.groups) or "no group"
        with session(environment) as http:
            self._log_in(environment, http)

            def look() -> bool | Pending:
                dags, connections = (
                    http.get(f"{environment.url}/api/v2/{path}", timeout=SECONDS)
                    for path in ("dags", "connections")
                )
                answers = dags.status_code, connections.status_code
                return answers == expected or Pending(f"{answers}, not {expected}")

            until(
                f"the rights of a user in {groups}",
                look,
                seconds=CACHE_SECONDS,
                remedy=environment.logs("api-server"),
            )

    def _log_in(self, environment: LocalEnvironment, http: requests.Session) -> None:
        """Follow the redirects as a browser would."""
        url = f"{environment.url}{START}?next={environment.url}/"
        for _ in range(MOST_REDIRECTS):
            if url.startswith(self.provider.issuer):
                try:
                    location = self.provider.visit(url)
                except OidcError as error:
                    raise CheckFailed(
                        f"The provider refuses {url}: {error}.",
                        environment.logs("api-server"),
                    ) from error
            else:
                response = http.get(url, timeout=SECONDS, allow_redirects=False)
                location = response.headers.get("Location", "")
            if not location:
                return
            url = urljoin(url, location)
        raise CheckFailed(
            f"The login did not end after {MOST_REDIRECTS} redirects, at {url}.",
            environment.logs("api-server"),
        )
