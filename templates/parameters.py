"""The parameters of the parent, in the order of the console's form.

Those of worker pools are the fields of ``WorkerPool`` in ``airflow/pools.py``. The
defaults launch a development environment; ``parameters/`` holds the others.
"""

from __future__ import annotations

from compiler.parameters import WRITTEN_AS_OBJECT
from compiler.rules import FOUND_AT_LAUNCH
from compiler.wiring import Interface, about
from templates.airflow.fargate_sizes import PROXY_MEMORY
from templates.airflow.platform import AirflowSettings, SingleSignOn
from templates.types import (
    ACU,
    Architecture,
    AuroraCapacity,
    AuroraVersion,
    Boolean,
    CacheNodeType,
    CertificateArn,
    Cidr,
    ComparedCount,
    Count,
    CpuUnits,
    DagEgress,
    Days,
    DeletionProtection,
    DomainName,
    Email,
    EndpointServices,
    ExistingSecretArn,
    FernetKeyRotation,
    HostedZoneId,
    Image,
    InternetAccess,
    LoadBalancerScheme,
    LogDays,
    Mebibytes,
    OptionalCount,
    PrefixListId,
    Profile,
    SecretVariables,
    SecurityGroupIds,
    SnapshotId,
    SubnetIdList,
    VpcId,
    WebClients,
    ZoneNames,
)


class Parameters(Interface):
    """Every parameter of the parent but those of worker pools."""

    profile: Profile = about(
        "Rules that apply to this environment. production requires high availability, "
        "a certificate, deletion protection and a year of logs.",
        group="Environment",
        label="Profile",
        Default="development",
    )
    image: Image = about(
        "Container image of every component. It must hold Airflow 3.3 with the "
        "Celery, FAB and Amazon providers. An image in ECR must be in the region of "
        "the stack.",
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
    deletion_protection: DeletionProtection = about(
        "Whether the database and the load balancer are protected from deletion. "
        "deferred protects them later: a first launch that fails cannot delete what is "
        "protected. build.py launches with deferred first, and switches the "
        "protection on after the success.",
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
    availability_zones: ZoneNames = about(
        "Names of the zones of the new VPC, ZoneCount or more, in the order of their "
        "subnets; a name in use never changes, or its subnets would be replaced. "
        "Empty: build.py chooses at the first launch and keeps the choice, and other "
        "launches take the first zones that CloudFormation lists.",
        group="Network",
        label="Zone names",
        Default="",
    )
    internet_access: InternetAccess = about(
        "How tasks reach AWS and the internet: a NAT gateway in every zone, a "
        "single one, or interface endpoints without access to the internet. "
        "An existing VPC keeps its own routes; endpoints adds the endpoints to it, "
        "for which each private subnet must lie in a zone of its own.",
        group="Network",
        label="Internet access",
        Default="single-nat",
    )
    endpoint_services: EndpointServices = about(
        "Further AWS services that DAGs call by interface endpoints, such as "
        "glue, sqs, redshift-data, with InternetAccess endpoints.",
        group="Network",
        label="Further endpoints",
        Default="",
    )
    outbound_https_cidr: Cidr = about(
        "Addresses that tasks may call on port 443. Narrow it to the range of the "
        "VPC where endpoints suffice.",
        group="Network",
        label="Outbound HTTPS",
        Default="0.0.0.0/0",
    )
    s3_prefix_list_id: PrefixListId = about(
        "Prefix list of the S3 gateway endpoint, needed when outbound HTTPS "
        "does not cover it. build.py finds it at the launch; for other launches aws "
        "ec2 describe-managed-prefix-lists shows it.",
        group="Network",
        label="S3 prefix list",
        tags=[FOUND_AT_LAUNCH],
        Default="",
    )
    dag_egress: DagEgress = about(
        "TCP ports and ranges that DAG code may connect to beside port 443, such as "
        "5432-5439 10.20.0.0/16, 22 192.0.2.10/32; at most 20. DAG code runs in "
        "workers, the triggerer and the DAG processor. A pool can have a list of its "
        "own instead.",
        group="Network",
        label="DAG egress",
        Default="",
    )
    dag_security_group_ids: SecurityGroupIds = about(
        "Further security groups of what runs DAG code, at most four, for databases "
        "that admit a group of yours. They must be in the VPC. A pool can have a list "
        "of its own instead.",
        group="Network",
        label="Further security groups",
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
        "Subnets of the existing VPC for the tasks; they need access to AWS.",
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
    load_balancer_scheme: LoadBalancerScheme = about(
        "Whether the Airflow UI is reachable from inside the network only, or "
        "from the internet; the latter needs a certificate.",
        group="Web access",
        label="Load balancer",
        Default="internal",
    )
    web_client_cidr: Cidr = about(
        "Addresses that may open the Airflow UI.",
        group="Web access",
        label="Allowed range",
        Default="10.0.0.0/8",
        MinLength=1,
    )
    web_client_cidr_2: Cidr = about(
        "More addresses that may open the Airflow UI. Empty for none.",
        group="Web access",
        label="Second allowed range",
        Default="",
    )
    web_client_cidr_3: Cidr = about(
        "More addresses that may open the Airflow UI. Empty for none.",
        group="Web access",
        label="Third allowed range",
        Default="",
    )
    web_clients: WebClients = about(
        "More ranges, prefix lists and security groups that may open the Airflow UI, "
        "at most 10.",
        group="Web access",
        label="More web clients",
        Default="",
    )
    allow_any_web_client: Boolean = about(
        "Whether 0.0.0.0/0 is accepted as an allowed range.",
        group="Web access",
        label="Allow any address",
        Default="false",
    )
    certificate_arn: CertificateArn = about(
        "ACM certificate of the Airflow UI. Without one an internal load balancer "
        "uses plain HTTP.",
        group="Web access",
        label="Certificate",
        Default="",
    )
    domain_name: DomainName = about(
        "Domain name of the Airflow UI; the certificate must cover it. Empty "
        "for the load balancer's own name.",
        group="Web access",
        label="Domain name",
        Default="",
    )
    hosted_zone_id: HostedZoneId = about(
        "Route 53 zone in which to create the domain's record. Empty if you create "
        "it yourself.",
        group="Web access",
        label="Hosted zone",
        Default="",
    )
    enable_flower: Boolean = about(
        "Whether to run Flower, the Celery monitor, under /flower behind a "
        "login of its own.",
        group="Web access",
        label="Flower",
        Default="false",
    )
    sign_on: SingleSignOn = about("How users log in.", flat=True)
    database_engine_version: AuroraVersion = about(
        "Version of Aurora PostgreSQL. Raise it, never lower it; to restore a "
        "snapshot, not older than the snapshot's.",
        group="Database",
        label="Engine version",
        Default="17.7",
    )
    database_min_capacity: AuroraCapacity = about(
        "Fewest Aurora capacity units. 0 pauses, for temporary stacks only; "
        "below 1 the database admits 2,000 connections at most.",
        group="Database",
        label="Fewest capacity units",
        Default="1",
    )
    database_max_capacity: AuroraCapacity = about(
        "Most Aurora capacity units. The number of connections follows it, "
        "after a reboot.",
        group="Database",
        label="Most capacity units",
        Default="4",
        AllowedPattern=rf"^(?!0){ACU}$",
        ConstraintDescription="1 to 256 in halves, such as 1, 1.5 or 16.",
    )
    enable_database_reader: Boolean = about(
        "Whether a second instance in another zone is ready for a failover.",
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
    enable_backup: Boolean = about(
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
    enable_cache_replica: Boolean = about(
        "Whether the broker has a second node, a replica.",
        group="Broker",
        label="Replica",
        Default="false",
    )
    enable_cache_failover: Boolean = about(
        "Whether the replica lies in another zone and takes over when the primary "
        "fails. On a running broker one launch adds the replica and the next one this; "
        "the other way round to remove it.",
        group="Broker",
        label="Failover",
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
        "Memory of one API server task in MiB, of which the Service Connect proxy "
        f"takes {PROXY_MEMORY}.",
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
    api_server_minimum: ComparedCount = about(
        "Fewest API server tasks; two survive the loss of a zone.",
        group="Components",
        label="Fewest API servers",
        Default="1",
        AllowedPattern=r"^[1-9][0-9]{0,3}$",
        ConstraintDescription="A whole number from 1 to 9999.",
    )
    api_server_maximum: Count = about(
        "Most API server tasks; they follow their own load.",
        group="Components",
        label="Most API servers",
        Default=4,
        MinValue=1,
    )
    scheduler_count: Count = about(
        "Number of schedulers; they share the work.",
        group="Components",
        label="Schedulers",
        Default=1,
        MinValue=1,
        MaxValue=5,
    )
    triggerer_count: Count = about(
        "Number of triggerers; they share the triggers.",
        group="Components",
        label="Triggerers",
        Default=1,
        MinValue=1,
        MaxValue=5,
    )
    parallelism: OptionalCount = about(
        "Most task instances one scheduler lets run at once, and the size of "
        "the default pool when it is first created; later, airflow pools set changes "
        "that. Empty for what the workers of all pools can run, which is the least.",
        group="Components",
        label="Parallelism",
        Default="",
    )
    secret_environment: SecretVariables = about(
        "Environment variables from Secrets Manager as JSON without blanks, members "
        'before objects: {"NAME":"<secret ARN>:key","worker":{"NAME":"<secret ARN>"}}.',
        group="Airflow",
        label="Secret variables",
        tags=[WRITTEN_AS_OBJECT],
        Default="",
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
        MaxValue=36_500,
    )
    access_log_days: Days = about(
        "Days to keep access logs of the load balancer and the buckets.",
        group="Logs",
        label="Access log days",
        Default=90,
        MinValue=1,
        MaxValue=36_500,
    )
    airflow: AirflowSettings = about("Settings of all Airflow tasks.", flat=True)
    fernet_key_rotation: FernetKeyRotation = about(
        "Which Fernet keys exist; the one named first encrypts. To change the key go "
        "one step at a time: first, first-second, second-first, then airflow "
        "rotate-fernet-key, then second.",
        group="Hardening",
        label="Fernet keys",
        Default="first",
    )
    fernet_key_secret_arn: ExistingSecretArn = about(
        "Secret of the first Fernet key, for a database restored from a snapshot: the "
        "one of the environment that wrote it. Empty generates one. Set it at the "
        "first launch; another key is refused by the migration job.",
        group="Hardening",
        label="Existing Fernet secret",
        Default="",
    )
