"""What an operator chooses: the parameters of the parent, in the form's order.

The choices of a worker pool come from its entry in ``templates/airflow/pools.py``. The
defaults launch a development environment; ``parameters/`` holds the others.
"""

from __future__ import annotations

from compiler.wiring import Interface, about
from templates.types import (
    Architecture,
    AuroraCapacity,
    AuroraVersion,
    CacheNodeType,
    CertificateArn,
    Cidr,
    Count,
    CpuUnits,
    Days,
    DomainName,
    Email,
    FernetKeyRotation,
    HostedZoneId,
    Image,
    InternetAccess,
    LogDays,
    Mebibytes,
    Minutes,
    PolicyArn,
    PolicyArns,
    PrefixListId,
    Profile,
    Scheme,
    Slots,
    SnapshotId,
    SubnetIdList,
    Switch,
    VpcId,
)


class Choices(Interface):
    """Every parameter of the parent that is not a worker pool's."""

    profile: Profile = about(
        "What kind of environment this is. production makes the rules below "
        "insist on high availability, a certificate and a year of logs.",
        group="Environment",
        label="Profile",
        Default="development",
    )
    image: Image = about(
        "Container image of every component. It must hold Airflow 3.3 with the "
        "Celery, FAB and Amazon providers.",
        group="Environment",
        label="Airflow image",
        Default="apache/airflow:3.3.2-python3.12",
    )
    service_architecture: Architecture = about(
        "Processor of every component but the workers, which have their own "
        "setting per pool. The image must be built for it.",
        group="Environment",
        label="Processor",
        Default="X86_64",
    )
    alarm_email: Email = about(
        "Address that alarms are sent to; AWS asks it to confirm. Empty for none.",
        group="Environment",
        label="Alarm e-mail",
        Default="",
    )
    deletion_protection: Switch = about(
        "Whether the database and the load balancer refuse to be deleted.",
        group="Environment",
        label="Deletion protection",
        Default="true",
    )
    vpc_cidr: Cidr = about(
        "Address range of the new VPC, /16 to /18; unused with an existing VPC.",
        group="Network",
        label="Address range",
        Default="10.0.0.0/16",
    )
    zone_count: Count = about(
        "Availability zones of the new VPC.",
        group="Network",
        label="Zones",
        Default=2,
        AllowedValues=[2, 3],
    )
    internet_access: InternetAccess = about(
        "How tasks reach AWS and the internet: a NAT gateway in every zone, a "
        "single one, or interface endpoints without any way to the internet. "
        "An existing VPC keeps its own ways; endpoints adds the endpoints to it, "
        "for which each private subnet must lie in a zone of its own.",
        group="Network",
        label="Way out",
        Default="single-nat",
    )
    outbound_https_cidr: Cidr = about(
        "Where tasks may connect on port 443. Narrow it to the range of the VPC "
        "where endpoints suffice.",
        group="Network",
        label="Outbound HTTPS",
        Default="0.0.0.0/0",
    )
    s3_prefix_list_id: PrefixListId = about(
        "Prefix list of the S3 gateway endpoint, needed when outbound HTTPS "
        "does not cover it; aws ec2 describe-managed-prefix-lists shows it.",
        group="Network",
        label="S3 prefix list",
        Default="",
    )
    existing_vpc_id: VpcId = about(
        "VPC to use instead of a new one. Empty to create one.",
        group="Network",
        label="Existing VPC",
        Default="",
    )
    existing_public_subnet_ids: SubnetIdList = about(
        "Subnets of the existing VPC for an internet-facing load balancer.",
        group="Network",
        label="Existing public subnets",
        Default="",
    )
    existing_private_subnet_ids: SubnetIdList = about(
        "Subnets of the existing VPC for the tasks; they need a way to AWS.",
        group="Network",
        label="Existing private subnets",
        Default="",
    )
    existing_data_subnet_ids: SubnetIdList = about(
        "Subnets of the existing VPC for the database and the cache.",
        group="Network",
        label="Existing data subnets",
        Default="",
    )
    load_balancer_scheme: Scheme = about(
        "Whether the web page is reachable from inside the network only, or "
        "from the internet; the latter needs a certificate.",
        group="Web access",
        label="Load balancer",
        Default="internal",
    )
    web_client_cidr: Cidr = about(
        "Addresses that may open the web page.",
        group="Web access",
        label="Allowed range",
        Default="10.0.0.0/8",
        MinLength=1,
    )
    web_client_cidr_2: Cidr = about(
        "More addresses that may open the web page. Empty for none.",
        group="Web access",
        label="Second allowed range",
        Default="",
    )
    web_client_cidr_3: Cidr = about(
        "More addresses that may open the web page. Empty for none.",
        group="Web access",
        label="Third allowed range",
        Default="",
    )
    allow_any_web_client: Switch = about(
        "Whether 0.0.0.0/0 is accepted as an allowed range.",
        group="Web access",
        label="Open to the world",
        Default="false",
    )
    certificate_arn: CertificateArn = about(
        "ACM certificate of the web page. Without one an internal load balancer "
        "speaks plain HTTP.",
        group="Web access",
        label="Certificate",
        Default="",
    )
    domain_name: DomainName = about(
        "Name the web page is reached by; the certificate must cover it. Empty "
        "for the load balancer's own name.",
        group="Web access",
        label="Domain name",
        Default="",
    )
    hosted_zone_id: HostedZoneId = about(
        "Route 53 zone in which to make the domain's record. Empty if you make "
        "it yourself.",
        group="Web access",
        label="Hosted zone",
        Default="",
    )
    enable_flower: Switch = about(
        "Whether to run Flower, the Celery monitor, under /flower behind a "
        "login of its own.",
        group="Web access",
        label="Flower",
        Default="false",
    )
    database_engine_version: AuroraVersion = about(
        "Version of Aurora PostgreSQL. Raise it, never lower it; to restore a "
        "snapshot, not older than the snapshot's.",
        group="Database",
        label="Engine version",
        Default="17.7",
    )
    database_min_capacity: AuroraCapacity = about(
        "Fewest Aurora capacity units. 0 pauses, for throw-away stacks only; "
        "below 1 the database admits 2,000 connections at most.",
        group="Database",
        label="Fewest capacity units",
        Default=1,
    )
    database_max_capacity: AuroraCapacity = about(
        "Most Aurora capacity units. The number of connections follows it, "
        "after a reboot.",
        group="Database",
        label="Most capacity units",
        Default=4,
        MinValue=1,
    )
    enable_database_reader: Switch = about(
        "Whether a second instance in another zone stands by for a failover.",
        group="Database",
        label="Reader",
        Default="false",
    )
    database_backup_days: Days = about(
        "Days to keep automatic backups for a restore to any point in time.",
        group="Database",
        label="Backup days",
        Default=7,
        MinValue=1,
        MaxValue=35,
    )
    database_snapshot_id: SnapshotId = about(
        "Cluster snapshot to create the database from. Set it at the first "
        "launch and never change it: a change replaces the database.",
        group="Database",
        label="Restore from",
        Default="",
    )
    enable_backup: Switch = about(
        "Whether AWS Backup keeps copies of the database outside the cluster.",
        group="Database",
        label="Backup plan",
        Default="false",
    )
    cache_node_type: CacheNodeType = about(
        "Size of a Valkey node.",
        group="Broker",
        label="Node type",
        Default="cache.t4g.small",
    )
    enable_cache_replica: Switch = about(
        "Whether a replica in another zone takes over when the primary fails.",
        group="Broker",
        label="Replica",
        Default="false",
    )
    cache_snapshot_days: Days = about(
        "Days to keep daily snapshots of the queues.",
        group="Broker",
        label="Snapshot days",
        Default=1,
        MinValue=1,
        MaxValue=35,
    )
    api_server_cpu: CpuUnits = about(
        "CPU units of one API server task; 1024 are one vCPU.",
        group="Components",
        label="API server CPU",
        Default=1024,
    )
    api_server_memory: Mebibytes = about(
        "Memory of one API server task in MiB.",
        group="Components",
        label="API server memory",
        Default=2048,
    )
    scheduler_cpu: CpuUnits = about(
        "CPU units of one scheduler task; 1024 are one vCPU.",
        group="Components",
        label="Scheduler CPU",
        Default=1024,
    )
    scheduler_memory: Mebibytes = about(
        "Memory of one scheduler task in MiB, of which the autoscaler takes 256.",
        group="Components",
        label="Scheduler memory",
        Default=2048,
        MinValue=1024,
    )
    dag_processor_cpu: CpuUnits = about(
        "CPU units of one DAG processor task; 1024 are one vCPU.",
        group="Components",
        label="DAG processor CPU",
        Default=512,
    )
    dag_processor_memory: Mebibytes = about(
        "Memory of one DAG processor task in MiB.",
        group="Components",
        label="DAG processor memory",
        Default=2048,
    )
    triggerer_cpu: CpuUnits = about(
        "CPU units of one triggerer task; 1024 are one vCPU.",
        group="Components",
        label="Triggerer CPU",
        Default=512,
    )
    triggerer_memory: Mebibytes = about(
        "Memory of one triggerer task in MiB.",
        group="Components",
        label="Triggerer memory",
        Default=1024,
    )
    api_server_minimum: Count = about(
        "Fewest API server tasks; two survive the loss of a zone.",
        group="Components",
        label="Fewest API servers",
        Default=1,
        MinValue=1,
    )
    api_server_maximum: Count = about(
        "Most API server tasks; they follow their own load.",
        group="Components",
        label="Most API servers",
        Default=4,
        MinValue=1,
    )
    scheduler_count: Count = about(
        "How many schedulers run; they share the work.",
        group="Components",
        label="Schedulers",
        Default=1,
        MinValue=1,
        MaxValue=5,
    )
    triggerer_count: Count = about(
        "How many triggerers run; they share the triggers.",
        group="Components",
        label="Triggerers",
        Default=1,
        MinValue=1,
        MaxValue=5,
    )
    parallelism: Slots = about(
        "Most task instances one scheduler lets run at once, and the size of "
        "the default pool when it is first created; later, airflow pools set changes "
        "that. Empty for what the workers of all pools can run, which is the least.",
        group="Components",
        label="Parallelism",
        Default="",
    )
    longest_task_minutes: Minutes = about(
        "Minutes the longest task may run. The broker delivers a message again "
        "and a protected worker may be stopped only after it. An update waits for "
        "running tasks too, and CloudFormation gives up after three hours.",
        group="Components",
        label="Longest task",
        Default=720,
        MinValue=10,
        MaxValue=2820,
    )
    log_days: LogDays = about(
        "Days to keep container, database, broker and flow logs.",
        group="Logs",
        label="Log days",
        Default=30,
    )
    task_log_days: Days = about(
        "Days to keep the logs of task instances in the log bucket.",
        group="Logs",
        label="Task log days",
        Default=90,
        MinValue=1,
    )
    access_log_days: Days = about(
        "Days to keep access logs of the load balancer and the buckets.",
        group="Logs",
        label="Access log days",
        Default=90,
        MinValue=1,
    )
    enable_execute_command: Switch = about(
        "Whether operators may open a shell, or forward a port, into a task. "
        "Sessions are logged and encrypted.",
        group="Hardening",
        label="ECS Exec",
        Default="false",
    )
    readonly_root_filesystem: Switch = about(
        "Whether the containers' root file systems are read-only. Excludes ECS "
        "Exec and needs an image that declares its writable folders as volumes.",
        group="Hardening",
        label="Read-only root",
        Default="false",
    )
    fernet_key_rotation: FernetKeyRotation = about(
        "Which Fernet keys exist; the one named first encrypts. To change the key go "
        "one step at a time: first, first-second, second-first, then airflow "
        "rotate-fernet-key, then second.",
        group="Hardening",
        label="Fernet keys",
        Default="first",
    )
    permissions_boundary_arn: PolicyArn = about(
        "Managed policy that bounds every role. Empty for none.",
        group="Hardening",
        label="Permissions boundary",
        Default="",
    )
    extra_policy_arns: PolicyArns = about(
        "Managed policies to attach to the roles of the workers, the DAG "
        "processor and the triggerer, which run your code.",
        group="Hardening",
        label="Extra policies",
        Default="",
    )
