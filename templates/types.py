"""Types of parameters and outputs, and records of values that cross stacks together.

A type holds a CloudFormation type and the constraints that the parent's parameters of
this type carry, so two stacks that exchange a value agree on its format. IDs that an
operator may leave empty are plain strings with a pattern: CloudFormation refuses an
empty AWS-specific parameter.
"""

from __future__ import annotations

import re

from troposphere import Equals, Join, Not, Select, Split

from compiler.wiring import Number, Record, Value, about
from fargate_runtime import contract
from templates.endpoint_services import DAG_SERVICES

ARN = r"arn:aws[a-z-]*:"
ACU = r"(256|(\d|[1-9]\d|1\d\d|2[0-4]\d|25[0-5])(\.5)?)"
"""Capacity units in halves, each in its only spelling."""

LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
CIDR = r"\d{1,3}(\.\d{1,3}){3}/\d{1,2}"
PORT = r"(0|[1-9]\d{0,4})"
EGRESS = rf"(?!\d+-\d+ 0\.0\.0\.0/0$){PORT}(-{PORT})? {CIDR}"
POLICY = rf"{ARN}iam::(aws|\d{{12}}):policy/.+"
ROLE = rf"{ARN}iam::\d{{12}}:role/([A-Za-z0-9_+=.@-]+/)*[A-Za-z0-9_+=.@-]{{1,64}}"
"""A role by its exact name: an asterisk would name roles that do not exist yet."""

GROUP_ID = r"sg-[0-9a-f]{8,17}"
PREFIX_LIST = r"pl-[0-9a-f]{8,17}"
WEB_CLIENT_SLOTS = 10
"""Entries of WebClients, each with a rule for port 443 and one for port 80."""

EGRESS_SLOTS = 20
"""Entries of one DagEgress. EC2 takes 60 rules a group, of which a worker has six for
the product itself, and the prefix list of S3 counts with each of its entries."""

NONE = "none"
"""The list of a pool that has no entry, where an empty one means the environment's."""


_SECRET_WITH_KEY = (
    rf"{ARN}secretsmanager:[a-z0-9-]+:\d{{12}}:secret:"
    r"[A-Za-z0-9/_+=.@!-]+(:[A-Za-z0-9_.-]+)?"
)
_SECRET_MEMBER = rf'"[A-Za-z_][A-Za-z0-9_]*":"{_SECRET_WITH_KEY}"'
_SECRET_MEMBERS = rf"{_SECRET_MEMBER}(,{_SECRET_MEMBER})*"
_SECRET_OBJECT = rf'"[a-z][a-z -]*":\{{({_SECRET_MEMBERS})?\}}'
_SECRET_OBJECTS = rf"{_SECRET_OBJECT}(,{_SECRET_OBJECT})*"


_ROLES = ("Admin", "Op", "User", "Viewer", "Public")
_GROUP_ROLE = rf"[^\s,=]([^,=]*[^\s,=])? ?= ?({'|'.join(_ROLES)})"


class Text(Value):
    """A text without constraints."""


class Boolean(Value, AllowedValues=["true", "false"]):
    """True or false."""

    @property
    def is_true(self) -> bool:
        """Whether the file says true; in a check."""
        return self.text == "true"


class DeletionProtection(Value, AllowedValues=["true", "false", "deferred"]):
    """Whether resources are protected from deletion, or not yet."""


class Count(Number, MinValue=0):
    """A whole number of things."""


class ComparedCount(
    Count,
    type="String",
    AllowedPattern=r"^(0|[1-9][0-9]{0,3})$",
    ConstraintDescription="A whole number up to 9999.",
):
    """A count that a rule or condition compares as text, where 1.0 would not be 1."""


class Seconds(Number, MinValue=0):
    """A duration in seconds."""


class Minutes(Number, MinValue=0):
    """A duration in minutes."""


class Days(Number, MinValue=0):
    """A duration in days."""


class LogDays(
    Number,
    AllowedValues=[
        *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096),
        *(1827, 2192, 2557, 2922, 3288, 3653),
    ],
):
    """Retention of a log group in days; CloudWatch Logs takes no other numbers."""


class Gibibytes(Number, MinValue=1):
    """An amount of storage in GiB."""


class VpcId(
    Value,
    AllowedPattern=r"^(vpc-[0-9a-f]{8,17})?$",
    ConstraintDescription="A VPC ID such as vpc-0123456789abcdef0, or nothing.",
):
    """A VPC."""


class SubnetIds(
    Value,
    type="CommaDelimitedList",
    AllowedPattern=r"^(subnet-[0-9a-f]{8,17})?$",
    ConstraintDescription="Subnet IDs separated by commas, or nothing.",
):
    """Subnets of one VPC, in two zones or more."""


class ZoneNames(
    Value,
    AllowedPattern=r"^([a-z0-9-]+[0-9][a-z](,[a-z0-9-]+[0-9][a-z]){1,2})?$",
    ConstraintDescription="Two or three zone names such as "
    "eu-central-1a,eu-central-1b, or nothing.",
):
    """Names of availability zones as one string, so that it can be empty."""


class SecurityGroupId(Value):
    """A security group."""


class SecurityGroupIds(
    Value,
    type="CommaDelimitedList",
    AllowedPattern=rf"^({GROUP_ID})?$",
    ConstraintDescription="Security group IDs such as sg-0123456789abcdef0, separated "
    "by commas, or nothing.",
):
    """Security groups of the operator's, or nothing."""


class EndpointServices(
    Value,
    type="CommaDelimitedList",
    AllowedPattern=rf"^({'|'.join(map(re.escape, DAG_SERVICES))})?$",
    ConstraintDescription="Services separated by commas, or nothing. They are "
    f"{', '.join(DAG_SERVICES)}.",
):
    """AWS services that DAGs call by interface endpoints."""

    def delimited(self) -> DelimitedNames:
        """Return the same names as nested stacks take them."""
        return DelimitedNames(Join("", [",", self.crossing(), ","]))


class DelimitedNames(Value):
    """Names with a comma before and after each."""

    def contains(self, name: str) -> Not:
        """Return whether a name is among them; conditions cannot ask a list.

        The text is cut at the name, and is whole where the name is not in it.
        """
        return Not(Equals(Select(0, Split(f",{name},", self)), self))


class Cidr(
    Value,
    AllowedPattern=rf"^({CIDR})?$",
    ConstraintDescription="An IPv4 block such as 10.0.0.0/16.",
):
    """A range of IPv4 addresses."""


class PrefixListId(
    Value,
    AllowedPattern=rf"^({PREFIX_LIST})?$",
    ConstraintDescription="A prefix list ID such as pl-63a5400a, or nothing.",
):
    """An AWS-managed prefix list."""


class DagEgress(
    Value,
    type="CommaDelimitedList",
    AllowedPattern=rf"^({EGRESS})?$",
    ConstraintDescription="Ports and an IPv4 range, such as 5432-5439 10.20.0.0/16, "
    "separated by commas, or nothing. 0.0.0.0/0 takes a single port.",
):
    """TCP ports and ranges of addresses that DAG code may connect to."""

    def slots(self) -> Slots:
        """Return the same entries as nested stacks take them."""
        return Slots.of(self, EGRESS_SLOTS)


class WebClients(
    Value,
    type="CommaDelimitedList",
    AllowedPattern=rf"^((?!0\.0\.0\.0/0$){CIDR}|{PREFIX_LIST}|{GROUP_ID})?$",
    ConstraintDescription="IPv4 blocks such as 10.0.0.0/16, prefix list IDs and "
    "security group IDs, separated by commas, or nothing. 0.0.0.0/0 goes into "
    "WebClientCidr.",
):
    """Ranges, prefix lists and security groups that may open the Airflow UI."""

    def slots(self) -> Slots:
        """Return the same entries as nested stacks take them."""
        return Slots.of(self, WEB_CLIENT_SLOTS)


class Slots(Value):
    """The entries of a list, with commas after them.

    So Fn::Split returns a text for every slot, an empty one where there is no entry.
    """

    @classmethod
    def of(cls, entries: Value, count: int) -> Slots:
        """Return the entries of a list, with slots for ``count`` and one more."""
        return cls(Join(",", [entries.crossing(), "," * count]))

    def entry(self, slot: int) -> Select:
        """Return the entry of a slot, from 0, or an empty text."""
        return Select(slot, Split(",", self))


class HostName(Value):
    """A DNS name to connect to."""


class PortNumber(Value):
    """A TCP port; an output of a stack, hence a string."""


class Url(Value):
    """The address of a web page or an API."""


class SecretArn(Value):
    """A Secrets Manager secret."""


class ExistingSecretArn(
    Value,
    AllowedPattern=rf"^({ARN}secretsmanager:[a-z0-9-]+:\d{{12}}:secret:"
    r"[A-Za-z0-9/_+=.@!-]+-[A-Za-z0-9]{6})?$",
    ConstraintDescription="The whole ARN of a secret, with the six characters at its "
    "end, or nothing.",
):
    """A secret of the operator."""


class SecretKey(
    Value,
    AllowedPattern=rf"^({_SECRET_WITH_KEY})?$",
    ConstraintDescription="The ARN of a Secrets Manager secret, with :key where the "
    "secret is JSON; or nothing.",
):
    """A Secrets Manager secret, or one key of it."""


class IssuerUrl(
    Value,
    AllowedPattern=r"^(https://[A-Za-z0-9.-]+(:\d{1,5})?(/[A-Za-z0-9._~%+-]+)*/?)?$",
    ConstraintDescription="A URL such as https://login.example.com/tenant, with https "
    "and without a query, or nothing.",
):
    """The issuer of an OpenID Connect provider."""


class ClientId(
    Value,
    AllowedPattern=r"^[!-~]*$",
    ConstraintDescription="The client ID as the provider shows it, without blanks.",
):
    """A client that is registered with an OpenID Connect provider."""


class Scopes(
    Value,
    AllowedPattern=r"^openid( [A-Za-z0-9_.:/-]+)*$",
    ConstraintDescription="openid and further scopes, each after one blank.",
):
    """Scopes of OpenID Connect."""


class ClaimName(
    Value,
    AllowedPattern=r"^[A-Za-z0-9_.:/-]+$",
    ConstraintDescription="The name of a claim, such as groups or cognito:groups.",
):
    """A claim of an ID token."""


class GroupRoles(
    Value,
    AllowedPattern=rf"^({_GROUP_ROLE}(, ?{_GROUP_ROLE})*)?$",
    ConstraintDescription="Groups and roles such as data-admins=Admin, "
    "analysts=Viewer, separated by commas, no comma or equals sign in a name. Roles: "
    f"{', '.join(_ROLES)}.",
):
    """Groups of an OpenID Connect provider, each with a role of Airflow."""


class DefaultRole(Value, AllowedValues=["none", "Public", "Viewer"]):
    """The role of users who are in no group with a role, or none."""


class JsonText(
    Value,
    AllowedPattern=r"^(\{.*\})?$",
    ConstraintDescription='A JSON object such as {"NAME":"value"}, or nothing.',
):
    """A JSON object: members, and for each target an object of members."""


class SecretsPrefix(
    Value,
    AllowedPattern=r"^([A-Za-z0-9_+=.@-]{1,64}(/[A-Za-z0-9_+=.@-]{1,64}){0,5})?$",
    ConstraintDescription="Letters, digits and _ + = . @ -, in parts of up to 64 "
    "divided by slashes, as airflow-prod or data/airflow; or nothing.",
):
    """Beginning of the names of secrets; no character of it is a wildcard of IAM."""


class SecretVariables(
    Value,
    AllowedPattern=rf"^(\{{({_SECRET_MEMBERS}(,{_SECRET_OBJECTS})?|{_SECRET_OBJECTS})?\}})?$",
    MaxLength=4000,
    ConstraintDescription='JSON without blanks: {"NAME":"<secret ARN>:key"}, then any '
    'objects for targets, as "worker":{"NAME":"<secret ARN>"}; or nothing.',
):
    """Names of variables and ARNs of their secrets, for CloudFormation to cut apart."""


class KeyArn(Value):
    """A customer-managed KMS key."""


class BucketName(Value):
    """An S3 bucket."""


class LogGroupName(Value):
    """A CloudWatch log group."""


class RoleArn(Value):
    """An IAM role."""


class PolicyArn(
    Value,
    AllowedPattern=rf"^({POLICY})?$",
    ConstraintDescription="The ARN of a managed policy, or nothing.",
):
    """An IAM managed policy."""


class PolicyArns(
    Value,
    type="CommaDelimitedList",
    AllowedPattern=rf"^({POLICY})?$",
    ConstraintDescription="ARNs of managed policies separated by commas, or nothing.",
):
    """IAM managed policies."""


class RoleArns(
    Value,
    type="CommaDelimitedList",
    AllowedPattern=rf"^({ROLE})?$",
    ConstraintDescription="ARNs of roles such as "
    "arn:aws:iam::123456789012:role/Reader, separated by commas, or nothing.",
):
    """IAM roles by their exact names, or nothing."""


class PrincipalArns(
    Value,
    type="CommaDelimitedList",
    AllowedPattern=rf"^({ARN}iam::\d{{12}}:(root|(role|user)/.+))?$",
    ConstraintDescription="ARNs of roles or users separated by commas, or nothing.",
):
    """IAM principals."""


class OptionalBucketName(
    Value,
    AllowedPattern=r"^([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])?$",
    ConstraintDescription="The name of a bucket, or nothing.",
):
    """An S3 bucket, or nothing."""


class CertificateArn(
    Value,
    AllowedPattern=rf"^({ARN}acm:[a-z0-9-]+:\d{{12}}:certificate/[0-9a-f-]+)?$",
    ConstraintDescription="The ARN of an ACM certificate, or nothing.",
):
    """An ACM certificate in this region."""


class DomainName(
    Value,
    AllowedPattern=rf"^({LABEL}(\.{LABEL})*\.[a-z]([a-z0-9-]{{0,61}}[a-z0-9])?)?$",
    MaxLength=253,
    ConstraintDescription="A lower-case domain name such as airflow.example.com, "
    "with at most 63 characters between dots and 253 in all.",
):
    """The domain name of the Airflow UI."""


class HostedZoneId(
    Value,
    AllowedPattern=r"^(Z[A-Z0-9]{1,31})?$",
    ConstraintDescription="A Route 53 hosted zone ID such as Z0123456789ABC.",
):
    """A Route 53 hosted zone."""


class TopicArn(Value):
    """An SNS topic."""


class ClusterName(Value):
    """An ECS cluster, by name."""


class ClusterArn(Value):
    """An ECS cluster, by ARN."""


class ServiceName(Value):
    """An ECS service, by name."""


class NamespaceArn(Value):
    """A Cloud Map namespace for ECS Service Connect."""


class TargetGroupArn(Value):
    """A target group of the load balancer."""


class LoadBalancerArn(Value):
    """An Application Load Balancer, by ARN."""


class LoadBalancerFullName(Value):
    """An Application Load Balancer as CloudWatch names it: app/name/id."""


class TargetGroupFullName(Value):
    """A target group as CloudWatch names it: targetgroup/name/id."""


class ResourceLabel(Value):
    """Load balancer and target group as Application Auto Scaling names them."""


class TaskDefinitionArn(Value):
    """An ECS task definition."""


class DatabaseId(Value):
    """An Aurora cluster, by identifier."""


class DatabaseArn(Value):
    """An Aurora cluster, by ARN."""


class CacheId(Value):
    """An ElastiCache replication group, by identifier."""


class SnapshotId(
    Value,
    AllowedPattern=r"^(arn:aws[a-z-]*:rds:[a-z0-9-]+:[0-9]{12}:cluster-snapshot:"
    r"[A-Za-z0-9:-]+|(rds:)?[A-Za-z][A-Za-z0-9-]*)?$",
    ConstraintDescription="The identifier of a cluster snapshot, which begins with a "
    "letter, its ARN, or nothing.",
):
    """A cluster snapshot to restore from."""


class Image(
    Value,
    AllowedPattern=r"^[a-z0-9][a-zA-Z0-9._/:-]*(@sha256:[0-9a-f]{64})?$",
    ConstraintDescription="An image such as apache/airflow:3.3.2-python3.12.",
):
    """A container image that holds Airflow."""


class AuroraVersion(
    Value, AllowedValues=["17.5", "17.6", "17.7", "17.9", "17.10", "17.11"]
):
    """A version of Aurora PostgreSQL 17 that can still be created."""


class AuroraCapacity(
    Number,
    type="String",
    AllowedPattern=rf"^{ACU}$",
    ConstraintDescription="0 to 256 in halves, such as 0.5, 1 or 16.",
):
    """Aurora capacity units (ACU), in halves.

    A string: a Number keeps its spelling too, and conditions and rules, which compare
    text, would take 1.0 or 0.50 for another capacity than 1 or 0.5.
    """


class CpuUnits(Number, AllowedValues=[256, 512, 1024, 2048, 4096, 8192, 16384]):
    """Fargate CPU: 1024 units are one vCPU."""


class Mebibytes(Number, MinValue=512, MaxValue=122880):
    """Fargate memory in MiB."""


class Architecture(Value, AllowedValues=["X86_64", "ARM64"]):
    """The processor a task runs on; the image must be built for it."""


class ScalingProfile(Value, AllowedValues=[*contract.SCALING_PROFILES]):
    """The preference of a worker pool where cost and waiting time conflict."""


class OptionalSeconds(
    Value,
    AllowedPattern=r"^(0|[1-9][0-9]{0,3})?$",
    ConstraintDescription="Whole seconds up to 9999, or nothing for the profile's own.",
):
    """A duration in seconds; empty for the scaling profile's own."""


class OptionalCount(
    Value,
    AllowedPattern=r"^([1-9][0-9]{0,5})?$",
    ConstraintDescription="A whole number up to 999999, or nothing.",
):
    """A whole number above 0, or nothing."""


class Percent(Number, MinValue=0, MaxValue=100):
    """A share in percent."""


class QueueName(
    Value,
    AllowedPattern=r"^[A-Za-z0-9._-]{1,100}$",
    ConstraintDescription="Letters, digits, dots, underscores and hyphens.",
):
    """A Celery queue."""


class Database(Record):
    """Address of Aurora, and the secrets of its users."""

    host: HostName = about("Writer endpoint of the Aurora cluster.")
    port: PortNumber = about("Port of the Aurora cluster.")
    admin_secret_arn: SecretArn = about("Master credentials, kept by RDS.")
    airflow_secret_arn: SecretArn = about("Credentials of Airflow's own role.")
    results_secret_arn: SecretArn = about("Credentials of the Celery-results role.")
    scaling_secret_arn: SecretArn = about(
        "Credentials of the autoscaler's read-only role."
    )


class Broker(Record):
    """Address of Valkey, and the secret of its user."""

    host: HostName = about("Primary endpoint of the Valkey replication group.")
    port: PortNumber = about("Port of the Valkey replication group.")
    secret_arn: SecretArn = about("Credentials of the Celery user.")


class AirflowSecrets(Record):
    """The secrets that Airflow's components sign, encrypt and log in with."""

    fernet_secret_arn: SecretArn = about("Encrypts connections and variables.")
    previous_fernet_secret_arn: SecretArn = about(
        "Still decrypts while one Fernet key replaces the other, or nothing."
    )
    existing_fernet_secret_arn: SecretArn = about(
        "The one of the two that the operator supplied, or nothing."
    )
    jwt_secret_arn: SecretArn = about("Signs user and task tokens.")
    api_secret_arn: SecretArn = about("Signs sessions and log requests.")
    admin_secret_arn: SecretArn = about("Login of the first administrator.")
    flower_secret_arn: SecretArn = about("Login of Flower, or nothing.")


class TaskSecurityGroups(Record):
    """The security groups of ECS tasks, one for each component."""

    api_server_group_id: SecurityGroupId = about("Security group of the API servers.")
    scheduler_group_id: SecurityGroupId = about(
        "Security group of schedulers and single commands."
    )
    dag_processor_group_id: SecurityGroupId = about(
        "Security group of the DAG processor."
    )
    triggerer_group_id: SecurityGroupId = about("Security group of the triggerers.")
    flower_group_id: SecurityGroupId = about("Security group of Flower, or nothing.")
    migration_group_id: SecurityGroupId = about("Security group of the migration job.")
    verification_group_id: SecurityGroupId = about(
        "Security group of the verification relay.", public=True
    )


class PoolNetwork(Record):
    """What the security group of a worker pool names, and its own lists."""

    vpc_id: VpcId = about("VPC of the group.")
    database_group_id: SecurityGroupId = about("Security group of the database.")
    cache_group_id: SecurityGroupId = about("Security group of the broker.")
    endpoints_group_id: SecurityGroupId = about(
        "Security group of the interface endpoints."
    )
    outbound_https_cidr: Cidr = about(
        "Addresses that tasks may call on port 443, or nothing."
    )
    s3_prefix_list_id: PrefixListId = about("Prefix list of S3, or nothing.")
    dag_egress: Slots = about("Ports and ranges that DAG code may reach.")
    dag_security_group_ids: SecurityGroupIds = about(
        "Further security groups of what runs DAG code, or nothing."
    )


class DagPermissions(Record):
    """What code of DAG authors may do on AWS beside what Airflow itself needs."""

    extra_policy_arns: PolicyArns = about("Managed policies to attach, or nothing.")
    assumable_role_arns: RoleArns = about("Roles to assume, or nothing.")


class DagIdentity(Record):
    """What other owners admit, in rules and policies, to let DAG code in."""

    security_group_id: SecurityGroupId = about(
        "Security group, for the rules of databases.", public=True
    )
    task_role_arn: RoleArn = about("Task role, for policies.", public=True)


class Cluster(Record):
    """The ECS cluster."""

    name: ClusterName = about("The ECS cluster, by name.")
    arn: ClusterArn = about("The ECS cluster, by ARN.")
    namespace_arn: NamespaceArn = about("Service Connect namespace.")
    exec_log_group_name: LogGroupName = about("Log of ECS Exec sessions.")


class Buckets(Record):
    """The buckets Airflow reads and writes."""

    dag_bucket_name: BucketName = about("Bucket of the DAGs, at its root.")
    release_bucket_name: BucketName = about("Bucket of the DAG releases.")
    log_bucket_name: BucketName = about("Bucket of the task logs.")


class TaskSize(Record):
    """CPU and memory of one task."""

    cpu: CpuUnits = about("CPU units of one task.")
    memory: Mebibytes = about("Memory of one task in MiB.")


class EcsService(Record):
    """An ECS service, and the log of its containers."""

    service_name: ServiceName = about("ECS service, by name.", public=True)
    log_group_name: LogGroupName = about("Log of its containers.", public=True)


class Profile(Value, AllowedValues=["development", "production"]):
    """The set of Rules that an environment must meet."""


class InternetAccess(Value, AllowedValues=["nat-per-zone", "single-nat", "endpoints"]):
    """How tasks in private subnets reach AWS and the internet."""


class LoadBalancerScheme(Value, AllowedValues=["internal", "internet-facing"]):
    """Whether the load balancer is reachable from the internet."""


class SubnetIdList(
    Value,
    AllowedPattern=r"^(subnet-[0-9a-f]{8,17}(,subnet-[0-9a-f]{8,17})+)?$",
    ConstraintDescription="Two or more subnet IDs separated by commas, or nothing.",
):
    """Subnet IDs as one string, so that a Rule can test whether it is empty."""

    def split(self) -> SubnetIds:
        """Return the same subnets as the list that stacks take."""
        return SubnetIds(Split(",", self.data), crossing=self.data)


class Email(
    Value,
    AllowedPattern=r"^([^@\s]+@[^@\s]+\.[^@\s]+)?$",
    ConstraintDescription="An e-mail address, or nothing.",
):
    """An e-mail address."""


class CacheNodeType(
    Value,
    AllowedPattern=r"^cache\.[a-z0-9]+\.[a-z0-9]+$",
    ConstraintDescription="A node type such as cache.t4g.small.",
):
    """The size of a Valkey node."""


class FernetKeyRotation(
    Value, AllowedValues=["first", "first-second", "second-first", "second"]
):
    """Which of two Fernet secrets exist; the one named first encrypts."""
