"""What choices exclude each other: CloudFormation checks it before anything is made.

Rules know equality and membership only; whatever compares numbers is checked
when the parameter file is read (``templates/checks/table.py``). The Service Catalog
product carries the same Rules as its template constraint.
"""

from __future__ import annotations

from dataclasses import dataclass

from troposphere import And, AWSHelperFn, Equals, Not, Or

from compiler.wiring import Template
from templates.parameters import Choices
from templates.types import LogDays

EVERYWHERE = "0.0.0.0/0"
AUDIT_DAYS = 365
"""An audit looks back one year: facts of every common framework."""
SLEEPY = ["0", "0.5", "1", "1.5"]
"""Capacities below which Aurora pauses, or has no Performance Insights."""


class Contains(AWSHelperFn):
    """Whether a list holds a value; troposphere has no name for Fn::Contains."""

    def __init__(self, values: list[str], value: object) -> None:
        self.data = {"Fn::Contains": [values, value]}


@dataclass(frozen=True, kw_only=True)
class Demand:
    """One thing that must hold, and what to say when it does not."""

    holds: AWSHelperFn
    message: str


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Demands that apply always, or only ``when`` something else holds."""

    name: str
    demands: tuple[Demand, ...]
    when: AWSHelperFn | None = None

    def document(self) -> dict[str, object]:
        """Return the rule as CloudFormation reads it."""
        condition = {"RuleCondition": self.when} if self.when else {}
        return condition | {
            "Assertions": [
                {"Assert": demand.holds, "AssertDescription": demand.message}
                for demand in self.demands
            ]
        }


def add_rules(t: Template, given: Choices) -> None:
    """Add every rule to the parent."""
    for rule in rules(given):
        t.add_rule(rule.name, rule.document())


def rules(given: Choices) -> tuple[Rule, ...]:
    """Return the rules over the operator's choices, in the form's order."""
    is_new_vpc = _is_empty(given.existing_vpc_id)
    is_internet_facing = Equals(given.load_balancer_scheme, "internet-facing")
    return (
        Rule(
            name="ProductionSurvivesTheLossOfAZone",
            when=Equals(given.profile, "production"),
            demands=(
                Demand(
                    holds=Equals(given.enable_database_reader, "true"),
                    message="Production needs a database reader: set EnableDatabaseReader "
                    "to true.",
                ),
                Demand(
                    holds=Equals(given.enable_cache_replica, "true"),
                    message="Production needs a broker replica: set EnableCacheReplica to "
                    "true.",
                ),
                Demand(
                    holds=Not(
                        And(is_new_vpc, Equals(given.internet_access, "single-nat"))
                    ),
                    message="Production needs more than one NAT gateway: set InternetAccess to "
                    "nat-per-zone or endpoints.",
                ),
                Demand(
                    holds=Not(Contains(SLEEPY, given.database_min_capacity)),
                    message="Production needs two capacity units or more, for "
                    "Performance Insights and a failover under load: raise "
                    "DatabaseMinCapacity.",
                ),
                Demand(
                    holds=Not(Equals(given.api_server_minimum, 1)),
                    message="Production needs two API servers: set ApiServerMinimum to "
                    "2 or more.",
                ),
            ),
        ),
        Rule(
            name="ProductionIsProtected",
            when=Equals(given.profile, "production"),
            demands=(
                Demand(
                    holds=_is_given(given.certificate_arn),
                    message="Production needs HTTPS: set CertificateArn.",
                ),
                Demand(
                    holds=Equals(given.deletion_protection, "true"),
                    message="Production keeps its data: set DeletionProtection to "
                    "true.",
                ),
                Demand(
                    holds=Contains(
                        [
                            str(days)
                            for days in LogDays.rules["AllowedValues"]
                            if days >= AUDIT_DAYS
                        ],
                        given.log_days,
                    ),
                    message="Production keeps logs for a year: set LogDays to 365 or "
                    "more.",
                ),
            ),
        ),
        Rule(
            name="AnExistingVpcComesWithItsSubnets",
            when=_is_given(given.existing_vpc_id),
            demands=(
                Demand(
                    holds=_is_given(given.existing_private_subnet_ids),
                    message="ExistingVpcId needs ExistingPrivateSubnetIds, for the "
                    "tasks.",
                ),
                Demand(
                    holds=_is_given(given.existing_data_subnet_ids),
                    message="ExistingVpcId needs ExistingDataSubnetIds, for database "
                    "and cache.",
                ),
                Demand(
                    holds=Or(
                        Not(is_internet_facing),
                        _is_given(given.existing_public_subnet_ids),
                    ),
                    message="An internet-facing load balancer in an existing VPC needs "
                    "ExistingPublicSubnetIds.",
                ),
            ),
        ),
        Rule(
            name="SubnetsComeWithTheirVpc",
            when=is_new_vpc,
            demands=(
                Demand(
                    holds=And(
                        _is_empty(given.existing_public_subnet_ids),
                        _is_empty(given.existing_private_subnet_ids),
                        _is_empty(given.existing_data_subnet_ids),
                    ),
                    message="Existing subnets need the VPC they lie in: set "
                    "ExistingVpcId.",
                ),
            ),
        ),
        Rule(
            name="EndpointsSuffice",
            when=Equals(given.internet_access, "endpoints"),
            demands=(
                Demand(
                    holds=Not(Equals(given.outbound_https_cidr, EVERYWHERE)),
                    message="InternetAccess endpoints leaves no way to the internet: set "
                    "OutboundHttpsCidr to the range of the VPC.",
                ),
                Demand(
                    holds=_is_given(given.s3_prefix_list_id),
                    message="With InternetAccess endpoints tasks reach S3 by its gateway: set "
                    "S3PrefixListId.",
                ),
            ),
        ),
        Rule(
            name="TheInternetGetsHttpsOnly",
            when=is_internet_facing,
            demands=(
                Demand(
                    holds=_is_given(given.certificate_arn),
                    message="An internet-facing load balancer needs HTTPS: set "
                    "CertificateArn.",
                ),
            ),
        ),
        Rule(
            name="OpenToTheWorldOnPurposeOnly",
            when=Not(Equals(given.allow_any_web_client, "true")),
            demands=tuple(
                Demand(
                    holds=Not(Equals(cidr, EVERYWHERE)),
                    message=f"{name} admits the whole internet: narrow it, or set "
                    "AllowAnyWebClient to true.",
                )
                for name, cidr in (
                    ("WebClientCidr", given.web_client_cidr),
                    ("WebClientCidr2", given.web_client_cidr_2),
                    ("WebClientCidr3", given.web_client_cidr_3),
                )
            ),
        ),
        Rule(
            name="ACertificateNamesADomain",
            when=_is_given(given.certificate_arn),
            demands=(
                Demand(
                    holds=_is_given(given.domain_name),
                    message="No certificate covers the load balancer's own name: set "
                    "DomainName.",
                ),
            ),
        ),
        Rule(
            name="AHostedZoneHoldsTheDomain",
            when=_is_given(given.hosted_zone_id),
            demands=(
                Demand(
                    holds=_is_given(given.domain_name),
                    message="HostedZoneId makes a domain's record: set DomainName.",
                ),
            ),
        ),
        Rule(
            name="ReadOnlyRootExcludesExec",
            when=Equals(given.readonly_root_filesystem, "true"),
            demands=(
                Demand(
                    holds=Equals(given.enable_execute_command, "false"),
                    message="ECS Exec writes to the root: set EnableExecuteCommand to false.",
                ),
            ),
        ),
    )


def _is_empty(value: object) -> Equals:
    return Equals(value, "")


def _is_given(value: object) -> Not:
    return Not(_is_empty(value))
