"""The web ACL of an internet-facing load balancer.

It uses AWS's own rule groups. A few rules of the common group block legitimate requests
to Airflow; here they only label a request, and a rule of this template decides.
Operators write connections, variables and run configurations of any size, with
addresses, paths and markup, through ``/api/v2/`` and ``/ui/``, and the UI requests
fifty DAGs by name in one query string. On other paths the same text is blocked. There
is no group against SQL injection: variables often hold SQL, and Airflow binds its
parameters.

Flower's login has no rate limit: its pages poll, and its password is random.
"""

from __future__ import annotations

from dataclasses import dataclass

from troposphere import GetAtt, Ref, Sub, logs, wafv2

from compiler.wiring import Interface, Template, about
from templates.types import KeyArn, LoadBalancerArn, LogDays

LOGIN_LIMIT, LOGIN_WINDOW_SECONDS = 100, 300
"""Log-ins and tokens by one address: an office behind one address passes, guessing is
limited to one attempt in three seconds."""

LOG_PREFIX = "aws-waf-logs-"
"""WAF writes to no other log group; it rejects the ARN of any other."""

REDACTED_HEADERS = ("authorization", "cookie")
"""Both carry bearer tokens."""

COMMON_LABELS = "awswaf:managed:aws:core-rule-set:"
FREE_TEXT_PATHS = ("/api/v2/", "/ui/")
FREE_TEXT_RULES = (
    ("SizeRestrictions_QUERYSTRING", "SizeRestrictions_QueryString"),
    ("SizeRestrictions_BODY", "SizeRestrictions_Body"),
    ("EC2MetaDataSSRF_BODY", "EC2MetaDataSSRF_Body"),
    ("GenericLFI_BODY", "GenericLFI_Body"),
    ("GenericRFI_BODY", "GenericRFI_Body"),
    ("CrossSiteScripting_BODY", "CrossSiteScripting_Body"),
)
"""Rules of the common group that Airflow's own requests match, and their labels."""


@dataclass(frozen=True, kw_only=True)
class ManagedGroup:
    """A rule group that AWS maintains; ``counted`` are rules that only label."""

    name: str
    managed_name: str
    counted: tuple[str, ...] = ()


GROUPS = (
    ManagedGroup(
        name="IpReputation", managed_name="AWSManagedRulesAmazonIpReputationList"
    ),
    ManagedGroup(
        name="KnownBadInputs", managed_name="AWSManagedRulesKnownBadInputsRuleSet"
    ),
    ManagedGroup(
        name="Common",
        managed_name="AWSManagedRulesCommonRuleSet",
        counted=tuple(rule for rule, _ in FREE_TEXT_RULES),
    ),
)


class Inputs(Interface):
    """The load balancer, and key and retention of the log."""

    load_balancer_arn: LoadBalancerArn = about("The load balancer.")
    key_arn: KeyArn = about("KMS key that encrypts the log.")
    log_days: LogDays = about("Days to keep the log of blocked requests.")


class Outputs(Interface):
    """No outputs."""


def define(t: Template, inputs: Inputs) -> Outputs:
    """Add the web ACL and its log, and associate it with the load balancer."""
    rules = [
        _block("ExecutionApi", _path_starts_with("/execution")),
        _block("Logins", _too_many_logins()),
        *(_managed(group) for group in GROUPS),
        _block("FreeTextElsewhere", _free_text_outside_its_paths()),
    ]
    for priority, rule in enumerate(rules):
        rule.Priority = priority
    firewall = t.add(
        wafv2.WebACL(
            "Firewall",
            Scope="REGIONAL",
            DefaultAction=wafv2.DefaultAction(Allow=wafv2.AllowAction()),
            Rules=rules,
            VisibilityConfig=_visibility("Firewall"),
        ),
        "Web ACL for requests from the internet.",
        why="It blocks /execution too, on the decoded path, in addition to the load "
        "balancer's rules.",
    )
    t.add(
        wafv2.WebACLAssociation(
            "Association",
            ResourceArn=inputs.load_balancer_arn,
            WebACLArn=GetAtt(firewall, "Arn"),
        ),
        "Associates the web ACL with the load balancer.",
    )

    # The log of blocked and counted requests.
    log = t.add(
        logs.LogGroup(
            "Log",
            LogGroupName=Sub(LOG_PREFIX + "${AWS::StackName}"),
            KmsKeyId=inputs.key_arn,
            RetentionInDays=inputs.log_days,
            DeletionPolicy="RetainExceptOnCreate",
            UpdateReplacePolicy="Retain",
        ),
        "Log of blocked and counted requests.",
        why="Named, because WAF requires the prefix; a nested stack's name ends in a "
        "suffix of its own, so a retained log never has the same name.",
    )
    t.add(
        wafv2.LoggingConfiguration(
            "Logging",
            ResourceArn=GetAtt(firewall, "Arn"),
            # The log group's own Arn ends in :*, which WAF refuses.
            LogDestinationConfigs=[
                Sub(
                    "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}"
                    ":log-group:${Name}",
                    Name=Ref(log),
                )
            ],
            RedactedFields=[
                wafv2.LoggingConfigurationFieldToMatch(
                    SingleHeader=wafv2.SingleHeader(Name=header)
                )
                for header in REDACTED_HEADERS
            ],
            LoggingFilter=wafv2.LoggingFilter(
                DefaultBehavior="DROP",
                Filters=[
                    wafv2.Filter(
                        Behavior="KEEP",
                        Requirement="MEETS_ANY",
                        Conditions=[
                            wafv2.Condition(
                                ActionCondition=wafv2.ActionCondition(Action=action)
                            )
                            for action in ("BLOCK", "COUNT")
                        ],
                    )
                ],
            ),
        ),
        "Writes the log, without tokens and cookies.",
        why="Allowed requests are in the load balancer's access log already.",
    )

    return Outputs()


def _block(name: str, statement: wafv2.Statement) -> wafv2.WebACLRule:
    return wafv2.WebACLRule(
        Name=name,
        Action=wafv2.RuleAction(Block=wafv2.BlockAction()),
        Statement=statement,
        VisibilityConfig=_visibility(name),
    )


def _managed(group: ManagedGroup) -> wafv2.WebACLRule:
    rules = wafv2.ManagedRuleGroupStatement(VendorName="AWS", Name=group.managed_name)
    if group.counted:
        rules.RuleActionOverrides = [
            wafv2.RuleActionOverride(
                Name=rule, ActionToUse=wafv2.RuleAction(Count=wafv2.CountAction())
            )
            for rule in group.counted
        ]
    return wafv2.WebACLRule(
        Name=group.name,
        # As the group decides. The property's name is None, a keyword of Python.
        OverrideAction=wafv2.OverrideAction.from_dict("", {"None": {}}),
        Statement=wafv2.Statement(ManagedRuleGroupStatement=rules),
        VisibilityConfig=_visibility(group.name),
    )


def _too_many_logins() -> wafv2.Statement:
    return wafv2.Statement(
        RateBasedStatement=wafv2.RateBasedStatement(
            AggregateKeyType="IP",
            Limit=LOGIN_LIMIT,
            EvaluationWindowSec=LOGIN_WINDOW_SECONDS,
            ScopeDownStatement=_all_of(
                _path_starts_with("/auth/"),
                _match(
                    wafv2.FieldToMatch(Method={}),
                    "EXACTLY",
                    "POST",
                    transforms=["NONE"],
                ),
            ),
        )
    )


def _free_text_outside_its_paths() -> wafv2.Statement:
    return _all_of(
        _any_of(
            *(
                wafv2.Statement(
                    LabelMatchStatement=wafv2.LabelMatchStatement(
                        Scope="LABEL", Key=COMMON_LABELS + label
                    )
                )
                for _, label in FREE_TEXT_RULES
            )
        ),
        wafv2.Statement(
            NotStatement=wafv2.NotStatement(
                Statement=_any_of(*map(_path_starts_with, FREE_TEXT_PATHS))
            )
        ),
    )


def _path_starts_with(path: str) -> wafv2.Statement:
    """Match the path as the server understands it, without dots and encoding."""
    return _match(
        wafv2.FieldToMatch(UriPath={}),
        "STARTS_WITH",
        path,
        transforms=["URL_DECODE", "NORMALIZE_PATH", "LOWERCASE"],
    )


def _match(
    field: wafv2.FieldToMatch, how: str, text: str, *, transforms: list[str]
) -> wafv2.Statement:
    return wafv2.Statement(
        ByteMatchStatement=wafv2.ByteMatchStatement(
            FieldToMatch=field,
            PositionalConstraint=how,
            SearchString=text,
            TextTransformations=[
                wafv2.TextTransformation(Priority=priority, Type=name)
                for priority, name in enumerate(transforms)
            ],
        )
    )


def _all_of(*statements: wafv2.Statement) -> wafv2.Statement:
    return wafv2.Statement(AndStatement=wafv2.AndStatement(Statements=list(statements)))


def _any_of(*statements: wafv2.Statement) -> wafv2.Statement:
    return wafv2.Statement(OrStatement=wafv2.OrStatement(Statements=list(statements)))


def _visibility(name: str) -> wafv2.VisibilityConfig:
    """Count in CloudWatch; keep no samples, which hold the headers in clear."""
    return wafv2.VisibilityConfig(
        CloudWatchMetricsEnabled=True, MetricName=name, SampledRequestsEnabled=False
    )
