"""The vocabulary: what the values that pass between stacks mean.

A kind holds a CloudFormation type and the constraints that the parent's
parameters of that kind carry, so two stacks that speak of the same thing cannot
disagree about its shape. IDs that an operator may leave empty are plain strings
with a pattern: CloudFormation refuses an empty AWS-specific parameter.
"""

from __future__ import annotations

from troposphere import Split

from compiler.wiring import AssetBucket, AssetDigest, AssetKey, Record, Value, about

ARN = r"arn:aws[a-z-]*:"
CIDR = r"\d{1,3}(\.\d{1,3}){3}/\d{1,2}"


class Text(Value):
    """A word or a sentence with no rules of its own."""


class Switch(Value, AllowedValues=["true", "false"]):
    """On or off."""


class Count(Value, type="Number", MinValue=0):
    """How many of something."""


class Seconds(Value, type="Number", MinValue=0):
    """A duration in seconds."""


class Minutes(Value, type="Number", MinValue=0):
    """A duration in minutes."""


class Days(Value, type="Number", MinValue=0):
    """A duration in days."""


class LogDays(
    Value,
    type="Number",
    AllowedValues=[
        *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096),
        *(1827, 2192, 2557, 2922, 3288, 3653),
    ],
):
    """How many days CloudWatch Logs keeps a log group's events."""


class Gibibytes(Value, type="Number", MinValue=1):
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


class SecurityGroupId(Value):
    """A security group."""


class Cidr(
    Value,
    AllowedPattern=rf"^({CIDR})?$",
    ConstraintDescription="An IPv4 block such as 10.0.0.0/16.",
):
    """A range of IPv4 addresses."""


class HostName(Value):
    """A DNS name to connect to."""


class PortNumber(Value):
    """A TCP port; an output of a stack, hence a string."""


class Url(Value):
    """An address a browser can open."""


class SecretArn(Value):
    """A Secrets Manager secret."""


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
    AllowedPattern=rf"^({ARN}iam::(aws|\d{{12}}):policy/.+)?$",
    ConstraintDescription="The ARN of a managed policy, or nothing.",
):
    """An IAM managed policy."""


class PolicyArns(
    Value,
    type="CommaDelimitedList",
    AllowedPattern=rf"^({ARN}iam::(aws|\d{{12}}):policy/.+)?$",
    ConstraintDescription="ARNs of managed policies separated by commas, or nothing.",
):
    """IAM managed policies."""


class CertificateArn(
    Value,
    AllowedPattern=rf"^({ARN}acm:[a-z0-9-]+:\d{{12}}:certificate/[0-9a-f-]+)?$",
    ConstraintDescription="The ARN of an ACM certificate, or nothing.",
):
    """An ACM certificate in this region."""


class DomainName(
    Value,
    AllowedPattern=r"^([a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+)?$",
    ConstraintDescription="A lower-case domain name such as airflow.example.com.",
):
    """The public name of the web page."""


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
    AllowedPattern=r"^[A-Za-z0-9:_-]*$",
    ConstraintDescription="A snapshot's identifier or ARN, or nothing.",
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


class AuroraCapacity(Value, type="Number", MinValue=0, MaxValue=256):
    """Aurora capacity units (ACU), in halves."""


class CpuUnits(
    Value, type="Number", AllowedValues=[256, 512, 1024, 2048, 4096, 8192, 16384]
):
    """Fargate CPU: 1024 units are one vCPU."""


class Mebibytes(Value, type="Number", MinValue=512, MaxValue=122880):
    """Fargate memory in MiB."""


class Architecture(Value, AllowedValues=["X86_64", "ARM64"]):
    """The processor a task runs on; the image must be built for it."""


class ScalingProfile(Value, AllowedValues=["balanced", "economy"]):
    """What a pool of workers prefers where money and waiting pull apart."""


class SecondsOrProfile(
    Value,
    AllowedPattern=r"^(0|[1-9][0-9]{0,3})?$",
    ConstraintDescription="Whole seconds up to 9999, or nothing for the profile's own.",
):
    """A duration in seconds that a profile brings along unless somebody says another."""


class Slots(
    Value,
    AllowedPattern=r"^([1-9][0-9]{0,5})?$",
    ConstraintDescription="A whole number up to 999999, or nothing.",
):
    """How many task instances may run at once, unless it follows from the pools."""


class Percent(Value, type="Number", MinValue=0, MaxValue=100):
    """A share in percent."""


class QueueName(
    Value,
    AllowedPattern=r"^[A-Za-z0-9._-]{1,100}$",
    ConstraintDescription="Letters, digits, dots, underscores and hyphens.",
):
    """A Celery queue."""


class Database(Record):
    """How to reach Aurora, and which secret lets whom in."""

    host: HostName = about("Writer endpoint of the Aurora cluster.")
    port: PortNumber = about("Port of the Aurora cluster.")
    admin_secret_arn: SecretArn = about("Master credentials, kept by RDS.")
    airflow_secret_arn: SecretArn = about("Credentials of Airflow's own role.")
    results_secret_arn: SecretArn = about("Credentials of the Celery-results role.")
    scaling_secret_arn: SecretArn = about("Credentials of the role that only reads.")


class Broker(Record):
    """How to reach Valkey."""

    host: HostName = about("Primary endpoint of the Valkey replication group.")
    port: PortNumber = about("Port of the Valkey replication group.")
    secret_arn: SecretArn = about("Credentials of the Celery user.")


class PoolList(Record):
    """What was chosen for every pool, as one JSON text in parts.

    A parameter holds 4,096 bytes, and fifty pools take more.
    """

    part_1: Text = about("First part of the text.")
    part_2: Text = about("What does not fit into the first.")
    part_3: Text = about("What does not fit into the second.")
    part_4: Text = about("What does not fit into the third.")
    part_5: Text = about("What does not fit into the fourth.")
    part_6: Text = about("What does not fit into the fifth.")

    @property
    def parts(self) -> list[Text]:
        """Every part, in order."""
        return [
            *(self.part_1, self.part_2, self.part_3),
            *(self.part_4, self.part_5, self.part_6),
        ]


class Keys(Record):
    """The secrets Airflow's components sign and encrypt with."""

    fernet_secret_arn: SecretArn = about("Encrypts connections and variables.")
    previous_fernet_secret_arn: SecretArn = about(
        "Still decrypts while one Fernet key replaces the other, or nothing."
    )
    jwt_secret_arn: SecretArn = about("Signs user and task tokens.")
    api_secret_arn: SecretArn = about("Signs sessions and log requests.")


class Runtime(Record):
    """What a container starts from: the image, and our code beside it."""

    image: Image = about("Container image that holds Airflow.")
    bucket: AssetBucket = about("Bucket of the runtime archive.")
    key: AssetKey = about("Object key of the runtime archive.")
    sha256: AssetDigest = about("SHA-256 of the runtime archive, in hexadecimal.")


class Guard(Record):
    """What every role and log of the tasks obeys."""

    key_arn: KeyArn = about("KMS key for logs, secrets and scratch disks.")
    log_days: LogDays = about("Days to keep the logs of the containers.")
    permissions_boundary_arn: PolicyArn = about("Boundary of every role, or nothing.")
    extra_policy_arns: PolicyArns = about("Further policies of the task roles.")
    enable_execute_command: Switch = about(
        "Whether ECS Exec may open a shell in a task."
    )
    readonly_root_filesystem: Switch = about(
        "Whether the root file system is read-only."
    )


class Cluster(Record):
    """Where the tasks run."""

    name: ClusterName = about("The ECS cluster, by name.")
    arn: ClusterArn = about("The ECS cluster, by ARN.")
    namespace_arn: NamespaceArn = about("Service Connect namespace.")
    exec_log_group_name: LogGroupName = about("Where ECS Exec sessions are logged.")


class Storage(Record):
    """The buckets Airflow reads and writes."""

    dag_bucket_name: BucketName = about("Bucket the DAGs lie in, at its root.")
    log_bucket_name: BucketName = about("Bucket the task logs go to.")


class Size(Record):
    """How large one task is."""

    cpu: CpuUnits = about("CPU units of one task.")
    memory: Mebibytes = about("Memory of one task in MiB.")


class Running(Record):
    """A service that ECS keeps running, and where its containers write."""

    service_name: ServiceName = about("ECS service, by name.", public=True)
    log_group_name: LogGroupName = about("Log of its containers.", public=True)


class Profile(Value, AllowedValues=["development", "production"]):
    """What the parent's Rules insist on."""


class InternetAccess(Value, AllowedValues=["nat-per-zone", "single-nat", "endpoints"]):
    """How tasks in private subnets reach AWS and the internet."""


class Scheme(Value, AllowedValues=["internal", "internet-facing"]):
    """Who can reach the load balancer."""


class SubnetIdList(
    Value,
    AllowedPattern=r"^(subnet-[0-9a-f]{8,17}(,subnet-[0-9a-f]{8,17})+)?$",
    ConstraintDescription="Two or more subnet IDs separated by commas, or nothing.",
):
    """Subnet IDs as one string, so that a Rule can ask whether there are any."""

    def split(self) -> SubnetIds:
        """Return the same subnets as the list that stacks take."""
        return SubnetIds(Split(",", self.data), crossing=self.data)


class PrefixListId(
    Value,
    AllowedPattern=r"^(pl-[0-9a-f]{8,17})?$",
    ConstraintDescription="A prefix list ID such as pl-63a5400a, or nothing.",
):
    """An AWS-managed prefix list."""


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
