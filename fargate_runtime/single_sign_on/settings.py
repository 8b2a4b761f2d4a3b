"""The operator's settings of single sign-on, and what claims make of a user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fargate_runtime.contract import NO_ROLE, Env
from fargate_runtime.env import required

if TYPE_CHECKING:
    from collections.abc import Mapping

PROVIDER = "oidc"
"""Name of the provider in FAB: a part of the redirect URI and of user names."""

DISCOVERY = "/.well-known/openid-configuration"


def discovery_url(issuer: str) -> str:
    """Return the address of an issuer's document with all other addresses."""
    return issuer.rstrip("/") + DISCOVERY


@dataclass(frozen=True)
class SignOnSettings:
    """What the parameters of the stack say about logins."""

    issuer: str
    client_id: str
    scopes: str
    groups_claim: str
    roles: Mapping[str, frozenset[str]]
    """Group -> names of roles."""
    default_role: str
    """For users without any of these groups; empty to refuse them."""
    has_local_logins: bool

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> SignOnSettings:
        """Return the settings of the environment; raises EnvError for a missing one."""
        default_role = required(environ, Env.OIDC_DEFAULT_ROLE)
        return cls(
            issuer=required(environ, Env.OIDC_ISSUER),
            client_id=required(environ, Env.OIDC_CLIENT_ID),
            scopes=required(environ, Env.OIDC_SCOPES),
            groups_claim=required(environ, Env.OIDC_GROUPS_CLAIM),
            roles=_roles(environ.get(Env.OIDC_ROLES, "")),
            default_role="" if default_role == NO_ROLE else default_role,
            has_local_logins=environ.get(Env.LOCAL_ADMIN) != "false",
        )

    def groups(self, claims: Mapping[str, Any]) -> frozenset[str]:
        """Return the groups in a user's claims; a single one may be a text."""
        value = claims.get(self.groups_claim)
        if isinstance(value, str):
            return frozenset({value})
        if isinstance(value, list):
            return frozenset(each for each in value if isinstance(each, str))
        return frozenset()

    def role_names(self, groups: frozenset[str]) -> frozenset[str]:
        """Return the names of the roles of groups, or the default role, or nothing."""
        names = frozenset[str]().union(
            *(roles for group, roles in self.roles.items() if group in groups)
        )
        return names or frozenset({self.default_role} - {""})


def _roles(text: str) -> dict[str, frozenset[str]]:
    """Return the roles of each group from ``data-admins=Admin, analysts=Viewer``."""
    roles: dict[str, frozenset[str]] = {}
    for entry in filter(None, map(str.strip, text.split(","))):
        group, _, role = entry.partition("=")
        name = group.strip()
        roles[name] = roles.get(name, frozenset()) | {role.strip()}
    return roles
