"""The load balancer in front of the Airflow UI and API.

It answers 404 to every path that ``routes.py`` does not forward; the reasons are there.
Clients use plain HTTP only inside the network and only without a certificate. The load
balancer always uses HTTP to the tasks, between two security groups that name each
other: TLS there (ELB.21, ELB.22) needs a certificate in every task.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from troposphere import (
    And,
    Condition,
    Equals,
    GetAtt,
    If,
    Join,
    Not,
    Or,
    Ref,
    Select,
    Split,
)
from troposphere import elasticloadbalancingv2 as elb
from troposphere.route53 import RecordSetType
from troposphere.validators.route53 import AliasTarget

from compiler.wiring import Interface, Template, about
from templates.airflow.routes import API, FLOWER, ROUTES, TARGETS, Route
from templates.resources import ports
from templates.types import (
    Boolean,
    BucketName,
    CertificateArn,
    DomainName,
    HostedZoneId,
    LoadBalancerArn,
    LoadBalancerFullName,
    LoadBalancerScheme,
    ResourceLabel,
    SecurityGroupId,
    SubnetIds,
    TargetGroupArn,
    TargetGroupFullName,
    Url,
    VpcId,
)

TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09"
"""TLS 1.2 with forward secrecy and 1.3: AWS's recommendation and console default."""

DRAIN_SECONDS = 30
"""ECS waits so long before it stops a task; a request takes less."""

ATTRIBUTES = (
    ("routing.http.drop_invalid_header_fields.enabled", "true"),
    # Only requests by RFC 7230: a smuggled request would bypass the routes.
    ("routing.http.desync_mitigation_mode", "strictest"),
    ("access_logs.s3.enabled", "true"),
    ("connection_logs.s3.enabled", "true"),
)
TARGET_ATTRIBUTES = (
    ("deregistration_delay.timeout_seconds", str(DRAIN_SECONDS)),
    # A log or a large grid takes long; the next request goes to an idle server.
    ("load_balancing.algorithm.type", "least_outstanding_requests"),
)
MISSES = 5
"""A busy server has more than a minute before ECS replaces it."""

A = TypeVar("A", elb.Action, elb.ListenerRuleAction)


class Inputs(Interface):
    """Network, names and certificate of the load balancer."""

    vpc_id: VpcId = about("VPC of the load balancer and its targets.")
    subnet_ids: SubnetIds = about("Subnets of the load balancer, in two zones or more.")
    group_id: SecurityGroupId = about("Security group of the load balancer.")
    scheme: LoadBalancerScheme = about("Whether its addresses are private or public.")
    certificate_arn: CertificateArn = about(
        "Certificate of the Airflow UI, or nothing for HTTP inside the network."
    )
    domain_name: DomainName = about("Domain name of the Airflow UI, or nothing.")
    hosted_zone_id: HostedZoneId = about(
        "Route 53 zone of the name's record, or nothing."
    )
    access_log_bucket_name: BucketName = about(
        "Bucket of access and connection logs, with its policy in place."
    )
    deletion_protection: Boolean = about("Whether it is protected from deletion.")
    enable_flower: Boolean = about("Whether Flower is reachable by its path.")


class Outputs(Interface):
    """Target groups for services; identifiers for alarms and the web ACL."""

    url: Url = about("Address of the Airflow UI.")
    load_balancer_arn: LoadBalancerArn = about("The load balancer, for a firewall.")
    load_balancer_full_name: LoadBalancerFullName = about(
        "The load balancer in its metrics' dimension."
    )
    api_target_group_arn: TargetGroupArn = about("Target group of the API servers.")
    api_target_group_full_name: TargetGroupFullName = about(
        "Target group of the API servers in its metrics' dimension."
    )
    api_resource_label: ResourceLabel = about(
        "Load balancer and API servers, for scaling on requests."
    )
    flower_target_group_arn: TargetGroupArn = about(
        "Target group of Flower, or nothing."
    )


def define(t: Template, inputs: Inputs) -> Outputs:
    """Add the load balancer, its listeners, its routes and their targets."""
    has_certificate = t.condition(
        "HasCertificate", Not(Equals(inputs.certificate_arn, ""))
    )
    has_listener = t.condition(
        "HasListener", Or(Condition(has_certificate), Equals(inputs.scheme, "internal"))
    )
    has_domain = t.condition("HasDomain", Not(Equals(inputs.domain_name, "")))
    has_record = t.condition(
        "HasRecord", And(Condition(has_domain), Not(Equals(inputs.hosted_zone_id, "")))
    )
    has_flower = t.condition("HasFlower", Equals(inputs.enable_flower, "true"))
    has_flower_route = t.condition(
        "HasFlowerRoute", And(Condition(has_flower), Condition(has_listener))
    )

    # The load balancer and its name.
    balancer = t.add(
        elb.LoadBalancer(
            "LoadBalancer",
            Type="application",
            Scheme=inputs.scheme,
            Subnets=inputs.subnet_ids,
            SecurityGroups=[inputs.group_id],
            LoadBalancerAttributes=[
                elb.LoadBalancerAttributes(Key=key, Value=value)
                for key, value in (
                    *ATTRIBUTES,
                    ("access_logs.s3.bucket", inputs.access_log_bucket_name),
                    ("connection_logs.s3.bucket", inputs.access_log_bucket_name),
                    ("deletion_protection.enabled", inputs.deletion_protection),
                )
            ],
        ),
        "Load balancer of the Airflow UI and API.",
    )
    t.add(
        RecordSetType(
            "Record",
            Condition=has_record,
            HostedZoneId=inputs.hosted_zone_id,
            Name=inputs.domain_name,
            Type="A",
            AliasTarget=AliasTarget(  # type: ignore[no-untyped-call] # troposphere's
                HostedZoneId=GetAtt(balancer, "CanonicalHostedZoneID"),
                DNSName=GetAtt(balancer, "DNSName"),
                EvaluateTargetHealth=True,
            ),
        ),
        "DNS record of the Airflow UI.",
    )

    # Listeners.
    https = t.add(
        elb.Listener(
            "Https",
            Condition=has_certificate,
            LoadBalancerArn=Ref(balancer),
            Port=ports.HTTPS,
            Protocol="HTTPS",
            SslPolicy=TLS_POLICY,
            Certificates=[elb.Certificate(CertificateArn=inputs.certificate_arn)],
            DefaultActions=[_not_found(elb.Action)],
        ),
        "HTTPS listener of the Airflow UI.",
        why="Its default answer is 404, so that no request passes before the routes "
        "exist.",
    )
    http = t.add(
        elb.Listener(
            "Http",
            Condition=has_listener,
            LoadBalancerArn=Ref(balancer),
            Port=ports.HTTP,
            Protocol="HTTP",
            DefaultActions=[
                If(has_certificate, _to_https(), _not_found(elb.Action)),
            ],
        ),
        "Redirects to HTTPS, or serves the Airflow UI where there is no certificate.",
        why="One listener for both, because two on one port cannot replace each "
        "other. There is none for an internet-facing UI without a certificate: the "
        "stack fails rather than transmit passwords in clear.",
    )

    # Targets, and the routes to them.
    groups = {
        target.name: t.add(
            elb.TargetGroup(
                target.name,
                Name=_bound_name(balancer, target.port),
                VpcId=inputs.vpc_id,
                TargetType="ip",
                Protocol="HTTP",
                Port=target.port,
                HealthCheckProtocol="HTTP",
                HealthCheckPath=target.health_path,
                HealthCheckIntervalSeconds=15,
                HealthCheckTimeoutSeconds=10,
                HealthyThresholdCount=2,
                UnhealthyThresholdCount=MISSES,
                Matcher=elb.Matcher(HttpCode="200"),
                TargetGroupAttributes=[
                    elb.TargetGroupAttribute(Key=key, Value=value)
                    for key, value in TARGET_ATTRIBUTES
                ],
            ),
            target.purpose,
            why=target.why,
        )
        for target in TARGETS
    }
    groups[FLOWER].Condition = has_flower
    conditions = {FLOWER: has_flower_route}
    refusing = [route.name for route in ROUTES if not route.target]
    for route in ROUTES:
        rule = t.add(
            elb.ListenerRule(
                route.name,
                Condition=conditions.get(route.target, has_listener),
                ListenerArn=If(has_certificate, Ref(https), Ref(http)),
                Priority=route.priority,
                Conditions=[_path(route)],
                Actions=[_answer(route, groups)],
            ),
            route.purpose,
            why=route.why,
        )
        if route.target:
            rule.DependsOn = refusing

    return Outputs(
        url=Url(
            Join(
                "://",
                [
                    If(has_certificate, "https", "http"),
                    If(has_domain, inputs.domain_name, GetAtt(balancer, "DNSName")),
                ],
            )
        ),
        load_balancer_arn=LoadBalancerArn(Ref(balancer)),
        load_balancer_full_name=LoadBalancerFullName(
            GetAtt(balancer, "LoadBalancerFullName")
        ),
        api_target_group_arn=TargetGroupArn(Ref(groups[API])),
        api_target_group_full_name=TargetGroupFullName(
            GetAtt(groups[API], "TargetGroupFullName")
        ),
        api_resource_label=ResourceLabel(
            Join(
                "/",
                [
                    GetAtt(balancer, "LoadBalancerFullName"),
                    GetAtt(groups[API], "TargetGroupFullName"),
                ],
            )
        ),
        flower_target_group_arn=TargetGroupArn(If(has_flower, Ref(groups[FLOWER]), "")),
    )


def _bound_name(balancer: elb.LoadBalancer, port: int) -> Join:
    """Return a target group's name, which changes with the load balancer.

    A target group belongs to one load balancer for ever, and a change of ``Scheme``
    replaces the load balancer: the listeners of the new one need new target groups.
    The last part of the load balancer's ARN has 16 digits, of 32 that a name may have.
    The port is in it, since a change of the port replaces the target group, too.
    """
    identifier = Select(3, Split("/", Ref(balancer)))
    return Join("-", ["airflow", str(port), identifier])


def _to_https() -> elb.Action:
    return elb.Action(
        Type="redirect",
        RedirectConfig=elb.RedirectConfig(
            Protocol="HTTPS", Port=str(ports.HTTPS), StatusCode="HTTP_301"
        ),
    )


def _not_found(action: type[A]) -> A:
    """Answer 404: 403 would reveal that the path exists."""
    return action(
        Type="fixed-response",
        FixedResponseConfig=elb.FixedResponseConfig(
            StatusCode="404", ContentType="text/plain", MessageBody="Not found."
        ),
    )


def _answer(
    route: Route, groups: Mapping[str, elb.TargetGroup]
) -> elb.ListenerRuleAction:
    if not route.target:
        return _not_found(elb.ListenerRuleAction)
    return elb.ListenerRuleAction(
        Type="forward", TargetGroupArn=Ref(groups[route.target])
    )


def _path(route: Route) -> elb.Condition:
    config = elb.PathPatternConfig()
    if route.patterns:
        config.Values = list(route.patterns)
    if route.expressions:
        config.RegexValues = list(route.expressions)
    return elb.Condition(Field="path-pattern", PathPatternConfig=config)
