"""Apache Airflow 3 with Celery on ECS Fargate, Aurora PostgreSQL and Valkey.

Everything an operator chooses is an input here (``choices.py``) or a knob of a
worker pool (``pools.py``); ``parameters/`` holds one file of choices for each
environment. Reading downwards is reading in the order of creation: the key, the
network and who may talk to whom, then what holds data, then the gate that prepares
the database, then the services, and last what scales and watches them.
"""

from __future__ import annotations

from troposphere import Equals, Not, Sub

from compiler.wiring import Define, Interface, Template, about, choose, title
from templates import (
    airflow_services,
    alarm_topic,
    api_scaling,
    backup,
    cache,
    cluster,
    credentials,
    database,
    encryption,
    endpoints,
    load_balancer,
    migration,
    monitoring,
    network,
    scaling,
    security,
    storage,
    web_firewall,
    workers,
)
from templates.airflow.pool_list import all_slots, pool_list
from templates.airflow.pools import POOLS, Pool, check
from templates.checks.rules import add_rules
from templates.parameters import Choices
from templates.types import (
    BucketName,
    ClusterName,
    Count,
    Guard,
    LogGroupName,
    Percent,
    Runtime,
    Size,
    Switch,
    Text,
    TopicArn,
    Url,
)

API_SERVER_CPU = Percent(60)
"""The rest is for the minute that another API server takes to start."""

API_SERVER_WORKERS = Count(20)
"""Of eight tasks that run 20 s or longer, with one vCPU at 60 %. Measured with Airflow
3.3.2: a heartbeat, every 5 s, takes 7 ms of CPU, and all else that a task asks from its
start to its end 50 ms. Shorter tasks and smaller servers are for the CPU to tell."""

API_SERVER_REQUESTS = Count(1000)
"""A minute, from outside; some sixteen pages or API calls a second."""


class Outputs(Interface):
    """What an operator needs next."""

    web_url: Url = about("Address of the web page.")
    web_access_command: Text = about(
        "How to reach the web page at http://localhost:8080 without a VPN."
    )
    admin_login_command: Text = about("Prints the login of the first administrator.")
    dag_upload_command: Text = about("Copies a folder of DAGs to where they are read.")
    airflow_command: Text = about("Runs one Airflow command as a task of its own.")
    dag_bucket_name: BucketName = about("Bucket of the DAGs, which lie at its root.")
    log_bucket_name: BucketName = about("Bucket of the logs of task instances.")
    cluster_name: ClusterName = about("ECS cluster of every component.")
    dashboard_name: Text = about("CloudWatch dashboard to look at first.")
    alarm_topic_arn: TopicArn = about("Topic to subscribe to for alarms.")
    migration_log_group_name: LogGroupName = about("Log of the migration job.")
    api_log_group_name: LogGroupName = about("Log of the API servers.")
    scheduler_log_group_name: LogGroupName = about("Log of the schedulers.")
    dag_processor_log_group_name: LogGroupName = about("Log of the DAG processor.")
    triggerer_log_group_name: LogGroupName = about("Log of the triggerers.")
    database_log_group_name: LogGroupName = about("Log of PostgreSQL.")


def define_with(pools: tuple[Pool, ...]) -> Define[Choices, Outputs]:
    """Return the parent of a table of worker pools."""
    check(pools)

    def define(t: Template, given: Choices) -> Outputs:
        add_rules(t, given)
        is_new_vpc = t.condition("IsNewVpc", Equals(given.existing_vpc_id, ""))
        has_endpoints = t.condition(
            "HasEndpoints", Equals(given.internet_access, "endpoints")
        )
        is_internet_facing = t.condition(
            "IsInternetFacing", Equals(given.load_balancer_scheme, "internet-facing")
        )
        has_certificate = t.condition(
            "HasCertificate", Not(Equals(given.certificate_arn, ""))
        )
        has_backup = t.condition("HasBackup", Equals(given.enable_backup, "true"))
        code = t.asset("runtime")
        runtime = Runtime(
            image=given.image, bucket=code.bucket, key=code.key, sha256=code.sha256
        )
        boundary = given.permissions_boundary_arn

        # What all else stands in: a key, a network, and who may talk to whom.
        key_arn = t.nest(encryption.define, encryption.Inputs()).key_arn
        net = t.nest_when(
            is_new_vpc,
            network.define,
            network.Inputs(
                vpc_cidr=given.vpc_cidr,
                zone_count=given.zone_count,
                internet_access=given.internet_access,
                scheme=given.load_balancer_scheme,
                flow_log_days=given.log_days,
                key_arn=key_arn,
                permissions_boundary_arn=boundary,
            ),
            otherwise=network.Outputs(
                vpc_id=given.existing_vpc_id,
                public_subnet_ids=given.existing_public_subnet_ids.split(),
                private_subnet_ids=given.existing_private_subnet_ids.split(),
                data_subnet_ids=given.existing_data_subnet_ids.split(),
            ),
        )
        groups = t.nest(
            security.define,
            security.Inputs(
                vpc_id=net.vpc_id,
                web_client_cidr=given.web_client_cidr,
                web_client_cidr_2=given.web_client_cidr_2,
                web_client_cidr_3=given.web_client_cidr_3,
                outbound_https_cidr=given.outbound_https_cidr,
                s3_prefix_list_id=given.s3_prefix_list_id,
            ),
        )
        t.nest_when(
            has_endpoints,
            endpoints.define,
            endpoints.Inputs(
                vpc_id=net.vpc_id,
                subnet_ids=net.private_subnet_ids,
                group_id=groups.endpoints_group_id,
            ),
            otherwise=endpoints.Outputs(),
        )

        # What holds data, and who hears when it fails.
        topic_arn = t.nest(
            alarm_topic.define,
            alarm_topic.Inputs(key_arn=key_arn, email=given.alarm_email),
        ).topic_arn
        store = t.nest(
            storage.define,
            storage.Inputs(
                key_arn=key_arn,
                log_expiry_days=given.task_log_days,
                access_log_expiry_days=given.access_log_days,
            ),
        )
        db = t.nest(
            database.define,
            database.Inputs(
                subnet_ids=net.data_subnet_ids,
                group_id=groups.database_group_id,
                key_arn=key_arn,
                engine_version=given.database_engine_version,
                min_capacity=given.database_min_capacity,
                max_capacity=given.database_max_capacity,
                enable_reader=given.enable_database_reader,
                backup_days=given.database_backup_days,
                deletion_protection=given.deletion_protection,
                snapshot_id=given.database_snapshot_id,
                log_days=given.log_days,
                alarm_topic_arn=topic_arn,
                permissions_boundary_arn=boundary,
            ),
        )
        t.nest_when(
            has_backup,
            backup.define,
            backup.Inputs(
                cluster_arn=db.cluster_arn,
                key_arn=key_arn,
                alarm_topic_arn=topic_arn,
                permissions_boundary_arn=boundary,
            ),
            otherwise=backup.Outputs(vault_name=Text("")),
        )
        queue = t.nest(
            cache.define,
            cache.Inputs(
                subnet_ids=net.data_subnet_ids,
                group_id=groups.cache_group_id,
                key_arn=key_arn,
                node_type=given.cache_node_type,
                enable_replica=given.enable_cache_replica,
                snapshot_days=given.cache_snapshot_days,
                log_days=given.log_days,
            ),
        )

        # Where tasks run, what they sign with, and the door to them.
        place = t.nest(
            cluster.define, cluster.Inputs(key_arn=key_arn, log_days=given.log_days)
        ).cluster
        secrets = t.nest(
            credentials.define,
            credentials.Inputs(
                key_arn=key_arn, fernet_key_rotation=given.fernet_key_rotation
            ),
        )
        door = t.nest(
            load_balancer.define,
            load_balancer.Inputs(
                vpc_id=net.vpc_id,
                subnet_ids=choose(
                    is_internet_facing, net.public_subnet_ids, net.private_subnet_ids
                ),
                group_id=groups.load_balancer_group_id,
                scheme=given.load_balancer_scheme,
                certificate_arn=given.certificate_arn,
                domain_name=given.domain_name,
                hosted_zone_id=given.hosted_zone_id,
                access_log_bucket_name=store.access_log_bucket_name,
                deletion_protection=given.deletion_protection,
                enable_flower=given.enable_flower,
            ),
        )
        t.nest_when(
            is_internet_facing,
            web_firewall.define,
            web_firewall.Inputs(
                load_balancer_arn=door.load_balancer_arn,
                key_arn=key_arn,
                log_days=given.log_days,
            ),
            otherwise=web_firewall.Outputs(),
        )

        # What is chosen for the workers, and how much all of them can run at once.
        crews = [(pool, pool.settings(t)) for pool in pools]
        has_parallelism = t.condition(
            "HasParallelism", Not(Equals(given.parallelism, ""))
        )
        slots = choose(has_parallelism, Text(given.parallelism.data), all_slots(crews))

        # The gate passes a version, or the launch ends here with the reason.
        guard = Guard(
            key_arn=key_arn,
            log_days=given.log_days,
            permissions_boundary_arn=boundary,
            extra_policy_arns=given.extra_policy_arns,
            enable_execute_command=given.enable_execute_command,
            readonly_root_filesystem=given.readonly_root_filesystem,
        )
        gate = t.nest(
            migration.define,
            migration.Inputs(
                runtime=runtime,
                architecture=given.service_architecture,
                cluster=place,
                guard=guard,
                subnet_ids=net.private_subnet_ids,
                migration_group_id=groups.migration_group_id,
                database=db.connection,
                keys=secrets.keys,
                admin_secret_arn=secrets.admin_secret_arn,
                worker_slots=slots,
            ),
        )

        # Airflow, and its workers, who report to it.
        services = t.nest(
            airflow_services.define,
            airflow_services.Inputs(
                runtime=runtime,
                architecture=given.service_architecture,
                cluster=place,
                guard=guard,
                subnet_ids=net.private_subnet_ids,
                api_server_group_id=groups.api_server_group_id,
                scheduler_group_id=groups.scheduler_group_id,
                dag_processor_group_id=groups.dag_processor_group_id,
                triggerer_group_id=groups.triggerer_group_id,
                flower_group_id=groups.flower_group_id,
                api_target_group_arn=door.api_target_group_arn,
                flower_target_group_arn=door.flower_target_group_arn,
                database=db.connection,
                broker=queue.connection,
                keys=secrets.keys,
                storage=store.buckets,
                url=door.url,
                has_https=choose(has_certificate, Switch("true"), Switch("false")),
                enable_flower=given.enable_flower,
                flower_secret_arn=secrets.flower_secret_arn,
                migration_version=gate.version,
                api_server_size=Size(
                    cpu=given.api_server_cpu, memory=given.api_server_memory
                ),
                scheduler_size=Size(
                    cpu=given.scheduler_cpu, memory=given.scheduler_memory
                ),
                dag_processor_size=Size(
                    cpu=given.dag_processor_cpu, memory=given.dag_processor_memory
                ),
                triggerer_size=Size(
                    cpu=given.triggerer_cpu, memory=given.triggerer_memory
                ),
                scheduler_count=given.scheduler_count,
                triggerer_count=given.triggerer_count,
                pools=pool_list(t, crews),
                worker_slots=slots,
            ),
        )
        for pool, knobs in crews:
            crew = t.nest(
                workers.define,
                workers.Inputs(
                    runtime=runtime,
                    cluster=place,
                    guard=guard,
                    subnet_ids=net.private_subnet_ids,
                    group_id=groups.worker_group_id,
                    database=db.connection,
                    broker=queue.connection,
                    keys=secrets.keys,
                    storage=store.buckets,
                    url=door.url,
                    execution_api_url=services.execution_api_url,
                    migration_version=gate.version,
                    pool=Text(pool.name),
                    queue=knobs.queue,
                    cpu=knobs.cpu,
                    memory=knobs.memory,
                    concurrency=knobs.concurrency,
                    architecture=knobs.architecture,
                    spot_percent=knobs.spot_percent,
                    ephemeral_storage_gib=knobs.ephemeral_storage_gib,
                    longest_task_minutes=given.longest_task_minutes,
                ),
                name=f"{title(pool.name)}Workers",
            )
            t.nest(
                scaling.define,
                scaling.Inputs(
                    cluster_name=place.name,
                    service_name=crew.service_name,
                    pool=Text(pool.name),
                    minimum=knobs.minimum,
                    maximum=knobs.maximum,
                    fallback_minimum=knobs.fallback_minimum,
                    alarm_topic_arn=topic_arn,
                ),
                name=f"{title(pool.name)}Scaling",
            )

        # What follows the load of the API servers, and what watches it all.
        t.nest(
            api_scaling.define,
            api_scaling.Inputs(
                cluster_name=place.name,
                service_name=services.api_server.service_name,
                minimum=given.api_server_minimum,
                maximum=given.api_server_maximum,
                cpu_percent=API_SERVER_CPU,
                requests_per_minute=API_SERVER_REQUESTS,
                workers_each=API_SERVER_WORKERS,
                api_resource_label=door.api_resource_label,
            ),
        )
        watch = t.nest(
            monitoring.define,
            monitoring.Inputs(
                alarm_topic_arn=topic_arn,
                database_id=db.cluster_id,
                database_min_capacity=given.database_min_capacity,
                database_max_capacity=given.database_max_capacity,
                cache_id=queue.cache_id,
                enable_cache_replica=given.enable_cache_replica,
                cluster_name=place.name,
                api_server_service_name=services.api_server.service_name,
                scheduler_service_name=services.scheduler.service_name,
                dag_processor_service_name=services.dag_processor.service_name,
                triggerer_service_name=services.triggerer.service_name,
                load_balancer_name=door.load_balancer_full_name,
                api_target_group_name=door.api_target_group_full_name,
            ),
        )

        return Outputs(
            web_url=door.url,
            web_access_command=services.port_forwarding_command,
            admin_login_command=Text(
                Sub(
                    "aws secretsmanager get-secret-value --region ${AWS::Region}"
                    " --secret-id ${Secret} --query SecretString --output text",
                    Secret=secrets.admin_secret_arn,
                )
            ),
            dag_upload_command=Text(
                Sub(
                    "aws s3 sync dags/ s3://${Bucket}/ --region ${AWS::Region}",
                    Bucket=store.buckets.dag_bucket_name,
                )
            ),
            airflow_command=services.run_command,
            dag_bucket_name=store.buckets.dag_bucket_name,
            log_bucket_name=store.buckets.log_bucket_name,
            cluster_name=place.name,
            dashboard_name=watch.dashboard_name,
            alarm_topic_arn=topic_arn,
            migration_log_group_name=gate.log_group_name,
            api_log_group_name=services.api_server.log_group_name,
            scheduler_log_group_name=services.scheduler.log_group_name,
            dag_processor_log_group_name=services.dag_processor.log_group_name,
            triggerer_log_group_name=services.triggerer.log_group_name,
            database_log_group_name=db.log_group_name,
        )

    return define


define = define_with(POOLS)
