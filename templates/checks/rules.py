"""Rules of the parent: parameters that exclude each other, checked by CloudFormation.

Rules know equality and membership only; comparisons of numbers are made when the
parameter file is read (``templates/checks/table.py``).
"""

from __future__ import annotations

from dataclasses import dataclass

from troposphere import And, AWSHelperFn, Equals, Not, Or

from compiler.wiring import Template
from fargate_runtime.contract import NO_ROLE
from templates.checks.aurora import SMALLEST_FOR_INSIGHTS, halves_below
from templates.parameters import Parameters
from templates.types import LogDays

EVERYWHERE = "0.0.0.0/0"
AUDIT_DAYS = 365
"""An audit looks back one year in every common framework."""
TOO_SMALL = list(halves_below(SMALLEST_FOR_INSIGHTS))
"""Capacities at which Aurora pauses, or has no Performance Insights."""


class Contains(AWSHelperFn):
    """Whether a list holds a value; troposphere has no name for Fn::Contains."""

    def __init__(self, values: list[str], value: object) -> None:
        self.data = {"Fn::Contains": [values, value]}


@dataclass(frozen=True, kw_only=True)
class Assertion:
    """A condition that must hold, and the message when it does not."""

    holds: AWSHelperFn
    message: str


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Assertions that apply always, or only ``when`` something else holds."""

    name: str
    assertions: tuple[Assertion, ...]
    when: AWSHelperFn | None = None

    def document(self) -> dict[str, object]:
        """Return the rule as CloudFormation reads it."""
        condition = {"RuleCondition": self.when} if self.when else {}
        return condition | {
            "Assertions": [
                {"Assert": assertion.holds, "AssertDescription": assertion.message}
                for assertion in self.assertions
            ]
        }


def add_rules(t: Template, parameters: Parameters) -> None:
    """Add every rule to the parent."""
    for rule in rules(parameters):
        t.add_rule(rule.name, rule.document())


def rules(parameters: Parameters) -> tuple[Rule, ...]:
    """Return the rules over the parameters, in the form's order."""
    is_new_vpc = _is_empty(parameters.existing_vpc_id)
    is_internet_facing = Equals(parameters.load_balancer_scheme, "internet-facing")
    sign_on = parameters.sign_on
    return (
        Rule(
            name="ProductionSurvivesTheLossOfAZone",
            when=Equals(parameters.profile, "production"),
            assertions=(
                Assertion(
                    holds=Equals(parameters.enable_database_reader, "true"),
                    message="Production needs a database reader: set "
                    "EnableDatabaseReader to true.",
                ),
                Assertion(
                    holds=Equals(parameters.enable_cache_replica, "true"),
                    message="Production needs a broker replica: set "
                    "EnableCacheReplica to true.",
                ),
                Assertion(
                    holds=Equals(parameters.enable_cache_failover, "true"),
                    message="Production needs the broker replica to take over: set "
                    "EnableCacheFailover to true, on a running broker in a launch "
                    "after that of the replica.",
                ),
                Assertion(
                    holds=Not(
                        And(
                            is_new_vpc, Equals(parameters.internet_access, "single-nat")
                        )
                    ),
                    message="Production needs more than one NAT gateway: set "
                    "InternetAccess to nat-per-zone or endpoints.",
                ),
                Assertion(
                    holds=Not(Contains(TOO_SMALL, parameters.database_min_capacity)),
                    message="Production needs two capacity units or more, for "
                    "Performance Insights and a failover under load: raise "
                    "DatabaseMinCapacity.",
                ),
                Assertion(
                    holds=Not(Equals(parameters.api_server_minimum, "1")),
                    message="Production needs two API servers: set ApiServerMinimum "
                    "to 2 or more.",
                ),
            ),
        ),
        Rule(
            name="ProductionIsProtected",
            when=Equals(parameters.profile, "production"),
            assertions=(
                Assertion(
                    holds=_is_given(parameters.certificate_arn),
                    message="Production needs HTTPS: set CertificateArn.",
                ),
                Assertion(
                    holds=Not(Equals(parameters.deletion_protection, "false")),
                    message="Production keeps its data: set DeletionProtection to "
                    "true.",
                ),
                Assertion(
                    holds=Contains(
                        [
                            str(days)
                            for days in LogDays.rules["AllowedValues"]
                            if days >= AUDIT_DAYS
                        ],
                        parameters.log_days,
                    ),
                    message="Production keeps logs for a year: set LogDays to 365 or "
                    "more.",
                ),
            ),
        ),
        Rule(
            name="AFailoverNeedsAReplica",
            when=Equals(parameters.enable_cache_failover, "true"),
            assertions=(
                Assertion(
                    holds=Equals(parameters.enable_cache_replica, "true"),
                    message="Without a replica nothing can take over: set "
                    "EnableCacheReplica to true, or EnableCacheFailover to false.",
                ),
            ),
        ),
        Rule(
            name="AnExistingVpcComesWithItsSubnets",
            when=_is_given(parameters.existing_vpc_id),
            assertions=(
                Assertion(
                    holds=_is_given(parameters.existing_private_subnet_ids),
                    message="ExistingVpcId needs ExistingPrivateSubnetIds, for the "
                    "tasks.",
                ),
                Assertion(
                    holds=_is_given(parameters.existing_data_subnet_ids),
                    message="ExistingVpcId needs ExistingDataSubnetIds, for database "
                    "and cache.",
                ),
                Assertion(
                    holds=Or(
                        Not(is_internet_facing),
                        _is_given(parameters.existing_public_subnet_ids),
                    ),
                    message="An internet-facing load balancer in an existing VPC "
                    "needs ExistingPublicSubnetIds.",
                ),
            ),
        ),
        Rule(
            name="SubnetsComeWithTheirVpc",
            when=is_new_vpc,
            assertions=(
                Assertion(
                    holds=And(
                        _is_empty(parameters.existing_public_subnet_ids),
                        _is_empty(parameters.existing_private_subnet_ids),
                        _is_empty(parameters.existing_data_subnet_ids),
                    ),
                    message="Existing subnets need the VPC they lie in: set "
                    "ExistingVpcId.",
                ),
            ),
        ),
        Rule(
            name="EndpointsSuffice",
            when=Equals(parameters.internet_access, "endpoints"),
            assertions=(
                Assertion(
                    holds=Not(Equals(parameters.outbound_https_cidr, EVERYWHERE)),
                    message="InternetAccess endpoints leaves no way to the internet: "
                    "set OutboundHttpsCidr to the range of the VPC.",
                ),
                Assertion(
                    holds=_is_given(parameters.s3_prefix_list_id),
                    message="With InternetAccess endpoints tasks reach S3 by its "
                    "gateway: set S3PrefixListId.",
                ),
            ),
        ),
        Rule(
            name="TheInternetGetsHttpsOnly",
            when=is_internet_facing,
            assertions=(
                Assertion(
                    holds=_is_given(parameters.certificate_arn),
                    message="An internet-facing load balancer needs HTTPS: set "
                    "CertificateArn.",
                ),
            ),
        ),
        Rule(
            name="OpenToTheWorldOnPurposeOnly",
            when=Not(Equals(parameters.allow_any_web_client, "true")),
            assertions=tuple(
                Assertion(
                    holds=Not(Equals(cidr, EVERYWHERE)),
                    message=f"{name} admits the whole internet: narrow it, or set "
                    "AllowAnyWebClient to true.",
                )
                for name, cidr in (
                    ("WebClientCidr", parameters.web_client_cidr),
                    ("WebClientCidr2", parameters.web_client_cidr_2),
                    ("WebClientCidr3", parameters.web_client_cidr_3),
                )
            ),
        ),
        Rule(
            name="ACertificateNamesADomain",
            when=_is_given(parameters.certificate_arn),
            assertions=(
                Assertion(
                    holds=_is_given(parameters.domain_name),
                    message="No certificate covers the load balancer's own name: set "
                    "DomainName.",
                ),
            ),
        ),
        Rule(
            name="AHostedZoneHoldsTheDomain",
            when=_is_given(parameters.hosted_zone_id),
            assertions=(
                Assertion(
                    holds=_is_given(parameters.domain_name),
                    message="HostedZoneId makes a domain's record: set DomainName.",
                ),
            ),
        ),
        Rule(
            name="SingleSignOnIsWhole",
            when=_is_given(sign_on.oidc_issuer),
            assertions=(
                Assertion(
                    holds=_is_given(sign_on.oidc_client_id),
                    message="OidcIssuer needs the client that is registered there: set "
                    "OidcClientId.",
                ),
                Assertion(
                    holds=_is_given(sign_on.oidc_client_secret_arn),
                    message="OidcIssuer needs the secret of the client: set "
                    "OidcClientSecretArn.",
                ),
                Assertion(
                    holds=Or(
                        _is_given(sign_on.oidc_roles),
                        Not(Equals(sign_on.oidc_default_role, NO_ROLE)),
                    ),
                    message="With neither OidcRoles nor OidcDefaultRole every login "
                    "is refused: set one of them.",
                ),
            ),
        ),
        Rule(
            name="SingleSignOnNeedsItsIssuer",
            when=_is_empty(sign_on.oidc_issuer),
            assertions=(
                Assertion(
                    holds=And(
                        _is_empty(sign_on.oidc_client_id),
                        _is_empty(sign_on.oidc_client_secret_arn),
                        _is_empty(sign_on.oidc_roles),
                        Equals(sign_on.oidc_default_role, NO_ROLE),
                    ),
                    message="Single sign-on needs its provider: set OidcIssuer, or "
                    "leave the other Oidc parameters empty.",
                ),
                Assertion(
                    holds=Equals(sign_on.local_admin, "true"),
                    message="Without OidcIssuer a password is the only login: set "
                    "LocalAdmin to true.",
                ),
            ),
        ),
        Rule(
            name="ReadOnlyRootExcludesExec",
            when=Equals(parameters.airflow.readonly_root_filesystem, "true"),
            assertions=(
                Assertion(
                    holds=Equals(parameters.airflow.enable_execute_command, "false"),
                    message="ECS Exec writes to the root: set EnableExecuteCommand to "
                    "false.",
                ),
            ),
        ),
    )


def _is_empty(value: object) -> Equals:
    return Equals(value, "")


def _is_given(value: object) -> Not:
    return Not(_is_empty(value))
