"""Updates that CloudFormation or a service refuses, or that lose data: one table.

CloudFormation creates a replacement before it deletes the old resource, and deletes
what a template no longer has at the very end. So a value that must be unique cannot
move from one resource to another in a single update, and a target group cannot follow
to the load balancer that replaces its own.

The plan refuses a row before anything starts. The emulator answers as the service does.
An answer is quoted from the source where that quotes one, else it has the source's
words for the error.
``docs/refused-changes.md`` is written from this table::

    python -m cloudformation.transitions docs/refused-changes.md
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from cloudformation.evaluation import is_known, references
from cloudformation.schemas import SchemaRegistry
from cloudformation.updates import Action, Update, Updates

MEMBER = re.compile(r"\{([\w.]+)\}")

API = "https://docs.aws.amazon.com"
GITHUB = "https://github.com"
ROADMAP = f"{GITHUB}/aws-cloudformation/cloudformation-coverage-roadmap/issues"
EC2_ERRORS = f"{API}/AWSEC2/latest/APIReference/errors-overview.html"
ELB_API = f"{API}/elasticloadbalancing/latest/APIReference"
RDS_API = f"{API}/AmazonRDS/latest/APIReference"
CACHE_API = f"{API}/AmazonElastiCache/latest/APIReference"
CFN_GUIDE = f"{API}/AWSCloudFormation/latest/UserGuide"


class Moment(Enum):
    """When AWS refuses an update."""

    PLAN = "when the change set is created"
    UPDATE = "during the update, which rolls back"
    CLEANUP = "after the update: the old resource stays, and costs"
    NEVER = "never: the data is lost"


FAILING = frozenset({Moment.PLAN, Moment.UPDATE})
"""Moments at which the update itself fails."""


@dataclass(frozen=True)
class Context:
    """What a row may look at besides the resource itself."""

    updates: Updates
    schemas: SchemaRegistry

    def others(self, update: Update) -> Iterator[Update]:
        """Yield the other resources of the same type."""
        for other in self.updates.values():
            same_type = other.resource.type == update.resource.type
            if same_type and other.resource.name != update.resource.name:
                yield other

    def named(self, value: Any) -> Iterator[Update]:
        """Yield the resources that a value names."""
        for name, _ in references(value):
            if name in self.updates:
                yield self.updates[name]


Applies = Callable[[Update, Context], bool]


@dataclass(frozen=True)
class Service:
    """A service that refuses, by its name and as CloudFormation's messages call it."""

    name: str
    code: str = ""


@dataclass(frozen=True, kw_only=True)
class Transition:
    """One row: an update of a resource that must not be started."""

    name: str
    """In the tests and the documentation."""
    type: str
    """Of the resource; empty for any."""
    applies: Applies
    change: str
    """What the update would do."""
    service: Service
    answer: str = ""
    """Its message; in braces a property, with ``old.`` the one before the update."""
    moment: Moment = Moment.UPDATE
    remedy: str
    source: str


@dataclass(frozen=True)
class RefusedUpdate:
    """A row of the table and the update that it refuses."""

    transition: Transition
    update: Update

    @property
    def answer(self) -> str:
        """What the service answers, with the values of this update."""
        return MEMBER.sub(
            lambda match: _shown(_member(self.update, match[1])), self.transition.answer
        )

    @property
    def message(self) -> str:
        """The answer as CloudFormation shows it at the resource."""
        code = self.transition.service.code
        if not code:
            return self.answer
        return (
            f'Resource handler returned message: "{self.answer} (Service: {code}, '
            'Status Code: 400)" (HandlerErrorCode: InvalidRequest)'
        )


def refused(
    updates: Updates,
    schemas: SchemaRegistry,
    moments: Collection[Moment] = frozenset(Moment),
) -> Iterator[RefusedUpdate]:
    """Yield every certain update that a row refuses at one of ``moments``."""
    context = Context(updates, schemas)
    for update in updates.values():
        if update.action is Action.NONE or not update.is_certain:
            continue
        for transition in TRANSITIONS:
            if (
                transition.moment in moments
                and transition.type in ("", update.resource.type)
                and transition.applies(update, context)
            ):
                yield RefusedUpdate(transition, update)


# Conditions of the rows.


def unique(*properties: str) -> Applies:
    """Return whether a new resource has the properties that an existing one has.

    The existing one may be its own predecessor, or one that is deleted or replaced
    afterwards: it is still there. A resource without the first property has no key.
    """

    def applies(update: Update, context: Context) -> bool:
        moved = {p.name for p in update.properties}
        if not update.is_new and not moved & set(properties):
            return False
        if any(p.cause for p in update.properties if p.name in properties):
            # A part of the key is the ID of a replacement, so no other has it.
            return False
        key = [update.after(name) for name in properties]
        if key[0] is None:
            return False
        holders = [*context.others(update), *([update] if update.is_new else [])]
        return any(
            holder.old is not None
            and [holder.before(name) for name in properties] == key
            for holder in holders
        )

    return applies


def _overlaps(update: Update, context: Context) -> bool:
    """Return whether a new subnet has addresses of a subnet that still exists."""
    caused = {p.name for p in update.properties if p.cause}
    if not update.is_new or {"VpcId", "CidrBlock"} & caused:
        return False
    vpc, block = update.after("VpcId"), update.after("CidrBlock")
    return any(
        other.before("VpcId") == vpc
        and _share_addresses(other.before("CidrBlock"), block)
        for other in (*context.others(update), update)
        if other.old is not None
    )


def _share_addresses(block: Any, other: Any) -> bool:
    if isinstance(block, str) and isinstance(other, str):
        return ip_network(block, strict=False).overlaps(ip_network(other, strict=False))
    return bool(block == other)


def _custom_named(update: Update, context: Context) -> bool:
    """Return whether a replacement would have the name of the old resource."""
    schema = context.schemas.find(update.resource.type)
    if update.action is not Action.REPLACE or schema is None:
        return False
    names = {"Name", f"{update.resource.type.rpartition('::')[2]}Name"}
    if len(schema.identifier) == 1:
        names |= set(schema.identifier)
    changed = {p.name for p in update.properties}
    return any(
        update.after(name) is not None and name not in changed
        for name in names & schema.create_only
    )


def _type_changes(update: Update, _context: Context) -> bool:
    old, new = update.old, update.new
    return old is not None and new is not None and old.type != new.type


def _forwards_to_kept_group(update: Update, context: Context) -> bool:
    """Return whether a listener or rule of a new load balancer uses an old group."""
    new_balancers = {
        each.resource.name
        for each in context.updates.values()
        if each.resource.type == LOAD_BALANCER and each.action is Action.REPLACE
    }
    listeners = [update]
    if update.resource.type == LISTENER_RULE:
        listeners = list(context.named(update.after("ListenerArn")))
    is_moved = any(
        balancer.resource.name in new_balancers
        for listener in listeners
        for balancer in context.named(listener.after("LoadBalancerArn"))
    )
    targets = [update.after(name) for name in ("Actions", "DefaultActions")]
    return is_moved and any(
        group.resource.type == TARGET_GROUP
        and group.old is not None
        and group.action is not Action.REPLACE
        for group in context.named(targets)
    )


def _is_protected_balancer(update: Update, _context: Context) -> bool:
    attributes = update.before("LoadBalancerAttributes") or []
    protection = {"Key": "deletion_protection.enabled", "Value": "true"}
    return update.is_removed and protection in attributes


def _is_protected(update: Update, _context: Context) -> bool:
    return update.is_removed and update.before("DeletionProtection") == "true"


def _changes_snapshot(update: Update, _context: Context) -> bool:
    return any(p.name == "SnapshotIdentifier" for p in update.properties)


def _lowers_version(update: Update, _context: Context) -> bool:
    before, after = _versions(update)
    return after < before


def _versions(update: Update) -> tuple[list[int], list[int]]:
    """Return the old and the new engine version; nothing where one is not known."""
    texts = update.before("EngineVersion"), update.after("EngineVersion")
    if update.action is not Action.MODIFY or not all(
        isinstance(text, str) and re.fullmatch(r"\d+(\.\d+)*", text) for text in texts
    ):
        return [], []
    before, after = ([int(part) for part in text.split(".")] for text in texts)
    return before, after


def _loses_subnets(update: Update, context: Context) -> bool:
    """Return whether a subnet group keeps some of its subnets and loses others."""
    remaining, lost = _subnets(update, context)
    return bool(remaining and lost)


def _loses_all_subnets(update: Update, context: Context) -> bool:
    """Return whether a subnet group moves to other subnets altogether."""
    remaining, lost = _subnets(update, context)
    return bool(lost and not remaining)


def _subnets(update: Update, context: Context) -> tuple[list[Any], list[Any]]:
    """Return the subnets that a group keeps, and those that it loses."""
    before, after = update.before("SubnetIds"), update.after("SubnetIds")
    if update.action is not Action.MODIFY or not (
        isinstance(before, list) and isinstance(after, list)
    ):
        return [], []

    def is_replaced(subnet: Any) -> bool:
        return any(
            each.action is Action.REPLACE and each.is_certain
            for each in context.named(subnet)
        )

    remaining = [each for each in before if each in after and not is_replaced(each)]
    return remaining, [each for each in before if each not in remaining]


def _fails_over_without_replica(update: Update, _context: Context) -> bool:
    return (
        update.action is Action.MODIFY
        and _nodes(update.before("NumCacheClusters")) < PAIR
        and any(
            update.before(name) != "true" and update.after(name) == "true"
            for name in FAILOVER
        )
    )


def _removes_replica_with_failover(update: Update, _context: Context) -> bool:
    return (
        update.action is Action.MODIFY
        and _nodes(update.before("NumCacheClusters")) >= PAIR
        and _nodes(update.after("NumCacheClusters")) < PAIR
        and any(update.before(name) == "true" for name in FAILOVER)
    )


def _nodes(count: Any) -> int:
    return int(count) if isinstance(count, str) and count.isdecimal() else 1


def _forces_no_deployment(update: Update, _context: Context) -> bool:
    changed = {p.name for p in update.properties}
    force = update.after("ForceNewDeployment") or {}
    is_forced = (
        "ForceNewDeployment" in changed
        and force.get("EnableForceNewDeployment") == "true"
    )
    return (
        update.action is Action.MODIFY
        and "CapacityProviderStrategy" in changed
        and not is_forced
    )


PAIR = 2
FAILOVER = ("AutomaticFailoverEnabled", "MultiAZEnabled")

CLOUDFORMATION = Service("CloudFormation")
EC2 = Service("EC2", "Ec2")
ECS = Service("ECS", "AmazonECS")
ELB = Service("Elastic Load Balancing", "ElasticLoadBalancingV2")
RDS = Service("RDS", "Rds")
CACHE = Service("ElastiCache", "ElastiCache")
ROUTE_53 = Service("Route 53", "Route53")

LOAD_BALANCER = "AWS::ElasticLoadBalancingV2::LoadBalancer"
LISTENER = "AWS::ElasticLoadBalancingV2::Listener"
LISTENER_RULE = "AWS::ElasticLoadBalancingV2::ListenerRule"
TARGET_GROUP = "AWS::ElasticLoadBalancingV2::TargetGroup"

ONE_BY_ONE = "Launch twice: first without the old resource, then with the new one."

RULE_ANSWER = (
    'the specified rule "peer: {peer}, {IpProtocol}, from port: {FromPort}, to port: '
    '{ToPort}, ALLOW" already exists'
)
BOUND_ANSWER = (
    "The following target groups cannot be associated with more than one load "
    "balancer: {targets}"
)
BOUND_REMEDY = (
    "Take templates whose target groups are replaced with the load balancer, or launch "
    "a new environment with this LoadBalancerScheme."
)
VPC_REMEDY = (
    "Put back VpcCidr, AvailabilityZones, or ExistingVpcId and its subnets. For "
    "another network launch a new environment, with DatabaseSnapshotId for the data."
)
ZONES_REMEDY = (
    "Put back ZoneCount and the subnets. More zones can be added; for fewer launch a "
    "new environment, with DatabaseSnapshotId for the data."
)

TRANSITIONS: tuple[Transition, ...] = (
    Transition(
        name="resource-type",
        type="",
        applies=_type_changes,
        change="A resource becomes one of another type under the same logical ID.",
        service=CLOUDFORMATION,
        answer="Update of resource type is not permitted. The new template modifies "
        "resource type of the following resources: [{id}]",
        moment=Moment.PLAN,
        remedy="Give the new resource another logical ID in its template.",
        source=f"{GITHUB}/aws/aws-sam-cli/issues/6786",
    ),
    Transition(
        name="named-resource",
        type="",
        applies=_custom_named,
        change="A resource with a name of its own is replaced by one of the same name.",
        service=CLOUDFORMATION,
        answer="CloudFormation cannot update a stack when a custom-named resource "
        "requires replacing. Rename {id} and update the stack again.",
        remedy="Put back the changed values, or change the name in the template as "
        "well.",
        source=f"{CFN_GUIDE}/troubleshooting.html",
    ),
    Transition(
        name="load-balancer-target-groups",
        type=LISTENER,
        applies=_forwards_to_kept_group,
        change="The load balancer is replaced, and a listener of the new one forwards "
        "to a target group of the old one.",
        service=ELB,
        answer=BOUND_ANSWER,
        remedy=BOUND_REMEDY,
        source=f"{ROADMAP}/780",
    ),
    Transition(
        name="load-balancer-routes",
        type=LISTENER_RULE,
        applies=_forwards_to_kept_group,
        change="The load balancer is replaced, and a route of the new one forwards to "
        "a target group of the old one.",
        service=ELB,
        answer=BOUND_ANSWER,
        remedy=BOUND_REMEDY,
        source=f"{ROADMAP}/780",
    ),
    Transition(
        name="load-balancer-protected",
        type=LOAD_BALANCER,
        applies=_is_protected_balancer,
        change="The load balancer is replaced or removed while it is protected from "
        "deletion.",
        service=ELB,
        answer="Load balancer '{id}' cannot be deleted because deletion protection is "
        "enabled",
        moment=Moment.CLEANUP,
        remedy="Launch DeletionProtection: deferred by itself, then this change, "
        "then DeletionProtection: true again.",
        source=f"{ELB_API}/API_DeleteLoadBalancer.html",
    ),
    Transition(
        name="listener-port",
        type=LISTENER,
        applies=unique("LoadBalancerArn", "Port"),
        change="Another listener takes a port of the load balancer that is in use.",
        service=ELB,
        answer="A listener already exists on this port for this load balancer "
        "'{LoadBalancerArn}'",
        remedy=ONE_BY_ONE,
        source=f"{ELB_API}/API_CreateListener.html",
    ),
    Transition(
        name="listener-rule-priority",
        type=LISTENER_RULE,
        applies=unique("ListenerArn", "Priority"),
        change="A route takes a priority that another route of the listener has.",
        service=ELB,
        answer="Priority '{Priority}' is currently in use",
        remedy="Give the route a priority that no route had before.",
        source=f"{ELB_API}/API_CreateRule.html",
    ),
    Transition(
        name="subnet-range",
        type="AWS::EC2::Subnet",
        applies=_overlaps,
        change="A subnet is replaced in the same VPC, with addresses that a subnet "
        "has.",
        service=EC2,
        answer="The CIDR '{CidrBlock}' conflicts with another subnet",
        remedy="Put back AvailabilityZones, each zone in its place: a subnet cannot "
        "move to another zone and keep its addresses.",
        source=f"{GITHUB}/caktus/aws-web-stacks/issues/6",
    ),
    Transition(
        name="inbound-rule",
        type="AWS::EC2::SecurityGroupIngress",
        applies=unique(
            "GroupId",
            "IpProtocol",
            "FromPort",
            "ToPort",
            "CidrIp",
            "CidrIpv6",
            "SourceSecurityGroupId",
            "SourcePrefixListId",
        ),
        change="An address range moves from one rule of a security group to another, "
        "where the rules are resources of their own.",
        service=EC2,
        answer=RULE_ANSWER,
        remedy=ONE_BY_ONE,
        source=EC2_ERRORS,
    ),
    Transition(
        name="outbound-rule",
        type="AWS::EC2::SecurityGroupEgress",
        applies=unique(
            "GroupId",
            "IpProtocol",
            "FromPort",
            "ToPort",
            "CidrIp",
            "CidrIpv6",
            "DestinationSecurityGroupId",
            "DestinationPrefixListId",
        ),
        change="A destination moves from one outbound rule of a security group to "
        "another.",
        service=EC2,
        answer=RULE_ANSWER,
        remedy=ONE_BY_ONE,
        source=EC2_ERRORS,
    ),
    Transition(
        name="route",
        type="AWS::EC2::Route",
        applies=unique(
            "RouteTableId",
            "DestinationCidrBlock",
            "DestinationIpv6CidrBlock",
            "DestinationPrefixListId",
        ),
        change="Another route takes the destination of a route in the same table.",
        service=EC2,
        answer="The route identified by {DestinationCidrBlock} already exists.",
        remedy=ONE_BY_ONE,
        source=EC2_ERRORS,
    ),
    Transition(
        name="route-table",
        type="AWS::EC2::SubnetRouteTableAssociation",
        applies=unique("SubnetId"),
        change="A subnet gets another route table by a new association.",
        service=EC2,
        answer="the specified association for route table {RouteTableId} conflicts "
        "with an existing association",
        remedy=ONE_BY_ONE,
        source=EC2_ERRORS,
    ),
    Transition(
        name="nat-address",
        type="AWS::EC2::NatGateway",
        applies=unique("AllocationId"),
        change="A NAT gateway is replaced and keeps its elastic IP address.",
        service=EC2,
        answer="Elastic IP address [{AllocationId}] is already associated",
        remedy="Put back what moves the gateway, its subnet or zone.",
        source=f"{GITHUB}/pulumi/pulumi-aws/issues/1483",
    ),
    Transition(
        name="bucket-policy",
        type="AWS::S3::BucketPolicy",
        applies=unique("Bucket"),
        change="A bucket gets its policy from another resource of the template.",
        service=CLOUDFORMATION,
        answer="The bucket policy already exists on bucket {Bucket}.",
        remedy=ONE_BY_ONE,
        source=f"{CFN_GUIDE}/troubleshooting.html",
    ),
    Transition(
        name="dns-record",
        type="AWS::Route53::RecordSet",
        applies=unique("HostedZoneId", "Name", "Type"),
        change="Another resource of the template takes over a DNS record.",
        service=ROUTE_53,
        answer="[Tried to create resource record set [name='{Name}', type='{Type}'] "
        "but it already exists]",
        remedy=ONE_BY_ONE,
        source=f"{API}/Route53/latest/APIReference/API_ChangeResourceRecordSets.html",
    ),
    Transition(
        name="database-snapshot",
        type="AWS::RDS::DBCluster",
        applies=_changes_snapshot,
        change="The database is replaced by one from another snapshot, or by an empty "
        "one: what was written since is lost.",
        service=RDS,
        moment=Moment.NEVER,
        remedy="Put back DatabaseSnapshotId as it was at the first launch. To restore "
        "a snapshot launch a new environment with it.",
        source=f"{API}/AWSCloudFormation/latest/TemplateReference/"
        "aws-resource-rds-dbcluster.html",
    ),
    Transition(
        name="database-protected",
        type="AWS::RDS::DBCluster",
        applies=_is_protected,
        change="The database is replaced or removed while it is protected from "
        "deletion.",
        service=RDS,
        answer="Cannot delete protected Cluster, please disable deletion protection "
        "and try again.",
        moment=Moment.CLEANUP,
        remedy="Put back what replaces it. If its data may go, launch "
        "DeletionProtection: deferred by itself, then this change.",
        source=f"{API}/AmazonRDS/latest/AuroraUserGuide/USER_DeleteCluster.html",
    ),
    Transition(
        name="database-version-lower",
        type="AWS::RDS::DBCluster",
        applies=_lowers_version,
        change="The database gets a lower engine version.",
        service=RDS,
        answer="Cannot upgrade {Engine} from {old.EngineVersion} to {EngineVersion}",
        remedy="Set DatabaseEngineVersion to the version that runs, or a higher one.",
        source=f"{GITHUB}/terraform-aws-modules/terraform-aws-rds-aurora/issues/228",
    ),
    Transition(
        name="database-zones",
        type="AWS::RDS::DBSubnetGroup",
        applies=_loses_subnets,
        change="The database loses a subnet that it may use, as with fewer zones.",
        service=RDS,
        answer="Some of the subnets to be deleted are currently in use: {lost}",
        remedy=ZONES_REMEDY,
        source=f"{RDS_API}/API_ModifyDBSubnetGroup.html",
    ),
    Transition(
        name="database-vpc",
        type="AWS::RDS::DBSubnetGroup",
        applies=_loses_all_subnets,
        change="The database moves to another VPC, or to other subnets altogether.",
        service=RDS,
        answer="The new Subnets are not in the same Vpc as the existing subnet group",
        remedy=VPC_REMEDY,
        source=f"{GITHUB}/hashicorp/terraform-provider-aws/issues/27459",
    ),
    Transition(
        name="broker-zones",
        type="AWS::ElastiCache::SubnetGroup",
        applies=_loses_subnets,
        change="The broker loses a subnet that it may use, as with fewer zones.",
        service=CACHE,
        answer="The requested subnets are in use: {lost}",
        remedy=ZONES_REMEDY,
        source=f"{CACHE_API}/API_ModifyCacheSubnetGroup.html",
    ),
    Transition(
        name="broker-vpc",
        type="AWS::ElastiCache::SubnetGroup",
        applies=_loses_all_subnets,
        change="The broker moves to another VPC, or to other subnets altogether.",
        service=CACHE,
        answer="The requested subnets are not in the VPC of the cache subnet group: "
        "{SubnetIds}",
        remedy=VPC_REMEDY,
        source=f"{CACHE_API}/API_ModifyCacheSubnetGroup.html",
    ),
    Transition(
        name="broker-version-lower",
        type="AWS::ElastiCache::ReplicationGroup",
        applies=_lowers_version,
        change="The broker gets a lower engine version, as with older templates.",
        service=CACHE,
        answer="Cannot downgrade the engine version from {old.EngineVersion} to "
        "{EngineVersion}",
        remedy="Launch templates whose broker has the version that runs, or a higher "
        "one.",
        source=f"{CACHE_API}/API_ModifyReplicationGroup.html",
    ),
    Transition(
        name="broker-failover-first",
        type="AWS::ElastiCache::ReplicationGroup",
        applies=_fails_over_without_replica,
        change="The broker gets its failover in the same update as its replica.",
        service=CACHE,
        answer="Replication group must have at least one read replica to enable "
        "autofailover.",
        remedy="Launch twice: first EnableCacheReplica, then EnableCacheFailover.",
        source=f"{ROADMAP}/383",
    ),
    Transition(
        name="broker-replica-first",
        type="AWS::ElastiCache::ReplicationGroup",
        applies=_removes_replica_with_failover,
        change="The broker loses its replica while its failover is on.",
        service=CACHE,
        answer="Must have at least 1 replica for Multi-AZ enabled Replication Group.",
        remedy="Launch twice: first without EnableCacheFailover, then without "
        "EnableCacheReplica.",
        source=f"{CACHE_API}/API_DecreaseReplicaCount.html",
    ),
    Transition(
        name="spot-share",
        type="AWS::ECS::Service",
        applies=_forces_no_deployment,
        change="The share of Spot changes without a new deployment of the service.",
        service=ECS,
        answer="Invalid request provided: When switching from launch type to capacity "
        "provider strategy on an existing service, or making a change to a capacity "
        "provider strategy on a service that is already using one, you must force a "
        "new deployment.",
        remedy="Take templates that force a deployment with the share "
        "(ForceNewDeployment), or put the share back.",
        source=f"{GITHUB}/aws/aws-cdk/issues/34631",
    ),
)


# Values in messages.


def _member(update: Update, name: str) -> Any:
    """Return the value that stands in braces in an answer."""
    if name == "id":
        return update.resource.logical_id
    if name == "peer":
        return next(filter(None, map(update.after, PEERS)), "")
    if name == "lost":
        after = update.after("SubnetIds") or []
        before = update.before("SubnetIds") or []
        replaced = [{"Ref": p.cause} for p in update.properties if p.cause]
        return [each for each in before if each not in after] or replaced
    if name == "targets":
        actions = [update.after("Actions"), update.after("DefaultActions")]
        return [{"Ref": name} for name, _ in references(actions)]
    if name.startswith("old."):
        return update.before(name.removeprefix("old."))
    return update.after(name)


PEERS = (
    "CidrIp",
    "CidrIpv6",
    "SourceSecurityGroupId",
    "DestinationSecurityGroupId",
    "SourcePrefixListId",
    "DestinationPrefixListId",
)


def _shown(value: Any) -> str:
    """Return a value as a person reads it; a resource by its path in the stacks."""
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    if isinstance(value, Mapping) and not is_known(value):
        return ", ".join(name for name, _ in references(value)) or "a value of AWS"
    return str(value)


# Documentation.

HEAD = """\
<!-- Generated by `make reference` from cloudformation/transitions.py. -->

# Refused changes

`plan` and `launch` compare the templates and parameters of a stack with the new ones.
Before anything starts they refuse what CloudFormation or a service would refuse
halfway, and what would lose data or leave a resource behind. None of these refusals has
been observed in an account yet; each section names its source. If AWS accepts one by
now, execute it in the console: `build.py link ENV` publishes the templates. The console
and Service Catalog check none of this.

A change that replaces or deletes data in a way that AWS permits, such as another
encryption key of the database, is not in this table. `plan` lists it first, and
`launch` asks for the stack's name: `--yes` never covers it, `--replace-data` does.

| Change | Resource | AWS refuses it |
| --- | --- | --- |
"""


def document() -> str:
    """Return the page of the documentation: an overview, then a section for each."""
    rows = [
        f"| [{row.name}](#{row.name}) | {_code(row.type) or 'any'} | "
        f"{row.moment.value} |"
        for row in TRANSITIONS
    ]
    sections = [
        "\n".join(
            (
                f"## {row.name}\n",
                f"{row.change}\n",
                *(
                    [f"> {row.service.name}: {MEMBER.sub(_word, row.answer)}\n"]
                    * bool(row.answer)
                ),
                f"Instead: {row.remedy}\n",
                f"Source: <{row.source}>\n",
            )
        )
        for row in TRANSITIONS
    ]
    return HEAD + "\n".join((*rows, "", *sections))


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _word(match: re.Match[str]) -> str:
    return f"`{match[1]}`"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(document())
