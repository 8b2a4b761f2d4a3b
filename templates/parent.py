"""Apache Airflow 3 with Celery on ECS Fargate, Aurora PostgreSQL and Valkey.

The parameters are in ``parameters.py``, those of the worker pools in ``pools.py``;
``parameters/`` holds one file of values for each environment. The order is that of
creation: encryption key, network and security groups; storage, database and broker;
cluster, secrets and load balancer; the migration job that prepares the database; the
services and workers; scaling and monitoring.
"""

from __future__ import annotations

from troposphere import Equals, Not, Sub

from compiler.wiring import Define, Interface, Template, about, choose, title
from fargate_runtime.contract import POOL_TARGET, Env
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
from templates.airflow.appearance import DEVELOPMENT_HUE, default_options
from templates.airflow.components import (
    API_SERVER,
    DAG_PROCESSOR,
    SCHEDULER,
    TRIGGERER,
    WORKER,
)
from templates.airflow.platform import Platform, RuntimeArchive
from templates.airflow.pool_list import all_slots, pool_list
from templates.airflow.pools import POOLS, Pool, check_pools, own_or
from templates.airflow.secret_environment import SecretEnvironment, member, secret_text
from templates.checks.rules import add_rules
from templates.parameters import Parameters
from templates.types import (
    Boolean,
    BucketName,
    ClusterName,
    Count,
    DagIdentity,
    DagPermissions,
    KeyArn,
    LogGroupName,
    Percent,
    PoolNetwork,
    TaskSize,
    Text,
    TopicArn,
    Url,
)

SERVICES_MINUTES = 45
"""How long a nested stack with services may take to be created. ECS waits without end
for a task that it cannot place, and CloudFormation 36 hours for the service. Less than
the circuit breaker needs would hide its reason: it counts three tasks, each of which
may take eight minutes to pull, fail its health checks and stop. Creation only: AWS has
no such limit of an update, and takes no change of this one."""

API_SERVER_CPU = Percent(60)
"""The rest is for the minute that another API server takes to start."""

API_SERVER_WORKERS = Count(20)
"""Of eight tasks that run 20 s or longer, with one vCPU at 60 %. Measured with Airflow
3.3.2: a heartbeat, every 5 s, takes 7 ms of CPU, and all other requests of a task from
its start to its end 50 ms. Shorter tasks and smaller servers show in the CPU metric."""

API_SERVER_REQUESTS = Count(1000)
"""A minute, from outside; some sixteen pages or API calls a second."""


class Outputs(Interface):
    """Addresses, names and commands for operators."""

    web_url: Url = about("Address of the Airflow UI.")
    web_access_command: Text = about(
        "Forwards the Airflow UI to http://localhost:8080, without a VPN."
    )
    admin_login_command: Text = about("Prints the login of the first administrator.")
    dag_upload_command: Text = about("Uploads a folder of DAGs to the DAG bucket.")
    airflow_command: Text = about("Runs one Airflow command as a task of its own.")
    dag_bucket_name: BucketName = about("Bucket of the DAGs, at its root.")
    release_bucket_name: BucketName = about("Bucket of the releases of DAGs.")
    key_arn: KeyArn = about("Key of the stack, which encrypts its buckets.")
    log_bucket_name: BucketName = about("Bucket of the logs of task instances.")
    cluster_name: ClusterName = about("ECS cluster of every component.")
    dashboard_name: Text = about("CloudWatch dashboard of the whole environment.")
    alarm_topic_arn: TopicArn = about("Topic to subscribe to for alarms.")
    migration_log_group_name: LogGroupName = about("Log of the migration job.")
    api_log_group_name: LogGroupName = about("Log of the API servers.")
    scheduler_log_group_name: LogGroupName = about("Log of the schedulers.")
    dag_processor_log_group_name: LogGroupName = about("Log of the DAG processor.")
    triggerer_log_group_name: LogGroupName = about("Log of the triggerers.")
    database_log_group_name: LogGroupName = about("Log of PostgreSQL.")
    dag_processor: DagIdentity = about("What other owners admit.")
    triggerer: DagIdentity = about("What other owners admit.")
    version: Text = about("Version of the templates.")


def define_with(table: tuple[Pool, ...]) -> Define[Parameters, Outputs]:
    """Return the parent of a table of worker pools."""
    check_pools(table)

    def define(t: Template, inputs: Parameters) -> Outputs:
        add_rules(t, inputs)
        is_new_vpc = t.condition("IsNewVpc", Equals(inputs.existing_vpc_id, ""))
        has_endpoints = t.condition(
            "HasEndpoints", Equals(inputs.internet_access, "endpoints")
        )
        is_internet_facing = t.condition(
            "IsInternetFacing", Equals(inputs.load_balancer_scheme, "internet-facing")
        )
        has_certificate = t.condition(
            "HasCertificate", Not(Equals(inputs.certificate_arn, ""))
        )
        is_protected = choose(
            t.condition("IsProtected", Equals(inputs.deletion_protection, "true")),
            Boolean("true"),
            Boolean("false"),
        )
        has_backup = t.condition("HasBackup", Equals(inputs.enable_backup, "true"))
        has_parallelism = t.condition(
            "HasParallelism", Not(Equals(inputs.parallelism, ""))
        )
        client_secret = member(
            Env.OIDC_CLIENT_SECRET, inputs.sign_on.oidc_client_secret_arn
        )
        secret_variables = inputs.secret_environment
        boundary = inputs.airflow.permissions_boundary_arn

        # Encryption key, network and security groups.
        key_arn = t.nest(encryption.define, encryption.Inputs()).key_arn
        vpc = t.nest_when(
            is_new_vpc,
            network.define,
            network.Inputs(
                vpc_cidr=inputs.vpc_cidr,
                zone_count=inputs.zone_count,
                zone_names=inputs.availability_zones,
                internet_access=inputs.internet_access,
                scheme=inputs.load_balancer_scheme,
                flow_log_days=inputs.log_days,
                key_arn=key_arn,
                permissions_boundary_arn=boundary,
            ),
            otherwise=network.Outputs(
                vpc_id=inputs.existing_vpc_id,
                public_subnet_ids=inputs.existing_public_subnet_ids.split(),
                private_subnet_ids=inputs.existing_private_subnet_ids.split(),
                data_subnet_ids=inputs.existing_data_subnet_ids.split(),
            ),
        )
        groups = t.nest(
            security.define,
            security.Inputs(
                vpc_id=vpc.vpc_id,
                web_client_cidr=inputs.web_client_cidr,
                web_client_cidr_2=inputs.web_client_cidr_2,
                web_client_cidr_3=inputs.web_client_cidr_3,
                web_clients=inputs.web_clients.slots(),
                outbound_https_cidr=inputs.outbound_https_cidr,
                s3_prefix_list_id=inputs.s3_prefix_list_id,
                dag_egress=inputs.dag_egress.slots(),
                enable_flower=inputs.enable_flower,
            ),
        )
        task_subnet_ids = t.nest_when(
            has_endpoints,
            endpoints.define,
            endpoints.Inputs(
                vpc_id=vpc.vpc_id,
                subnet_ids=vpc.private_subnet_ids,
                group_id=groups.endpoints_group_id,
                enable_execute_command=inputs.airflow.enable_execute_command,
                services=inputs.endpoint_services.delimited(),
            ),
            otherwise=endpoints.Outputs(subnet_ids=vpc.private_subnet_ids),
        ).subnet_ids

        # Storage, database and broker, and the topic of their alarms.
        topic_arn = t.nest(
            alarm_topic.define,
            alarm_topic.Inputs(key_arn=key_arn, email=inputs.alarm_email),
        ).topic_arn
        buckets = t.nest(
            storage.define,
            storage.Inputs(
                key_arn=key_arn,
                log_expiry_days=inputs.task_log_days,
                access_log_expiry_days=inputs.access_log_days,
            ),
        )
        aurora = t.nest(
            database.define,
            database.Inputs(
                subnet_ids=vpc.data_subnet_ids,
                group_id=groups.database_group_id,
                key_arn=key_arn,
                engine_version=inputs.database_engine_version,
                min_capacity=inputs.database_min_capacity,
                max_capacity=inputs.database_max_capacity,
                enable_reader=inputs.enable_database_reader,
                backup_days=inputs.database_backup_days,
                deletion_protection=is_protected,
                snapshot_id=inputs.database_snapshot_id,
                log_days=inputs.log_days,
                alarm_topic_arn=topic_arn,
                permissions_boundary_arn=boundary,
            ),
        )
        t.nest_when(
            has_backup,
            backup.define,
            backup.Inputs(
                cluster_arn=aurora.cluster_arn,
                key_arn=key_arn,
                alarm_topic_arn=topic_arn,
                permissions_boundary_arn=boundary,
            ),
            otherwise=backup.Outputs(vault_name=Text("")),
        )
        broker = t.nest(
            cache.define,
            cache.Inputs(
                subnet_ids=vpc.data_subnet_ids,
                group_id=groups.cache_group_id,
                key_arn=key_arn,
                node_type=inputs.cache_node_type,
                enable_replica=inputs.enable_cache_replica,
                enable_failover=inputs.enable_cache_failover,
                snapshot_days=inputs.cache_snapshot_days,
                log_days=inputs.log_days,
            ),
        )

        # Cluster, secrets and load balancer.
        ecs_cluster = t.nest(
            cluster.define, cluster.Inputs(key_arn=key_arn, log_days=inputs.log_days)
        ).cluster
        secrets = t.nest(
            credentials.define,
            credentials.Inputs(
                key_arn=key_arn,
                fernet_key_rotation=inputs.fernet_key_rotation,
                fernet_key_secret_arn=inputs.fernet_key_secret_arn,
                enable_flower=inputs.enable_flower,
            ),
        ).secrets
        balancer = t.nest(
            load_balancer.define,
            load_balancer.Inputs(
                vpc_id=vpc.vpc_id,
                subnet_ids=choose(
                    is_internet_facing, vpc.public_subnet_ids, vpc.private_subnet_ids
                ),
                group_id=groups.load_balancer_group_id,
                scheme=inputs.load_balancer_scheme,
                certificate_arn=inputs.certificate_arn,
                domain_name=inputs.domain_name,
                hosted_zone_id=inputs.hosted_zone_id,
                access_log_bucket_name=buckets.access_log_bucket_name,
                deletion_protection=is_protected,
                enable_flower=inputs.enable_flower,
            ),
        )
        t.nest_when(
            is_internet_facing,
            web_firewall.define,
            web_firewall.Inputs(
                load_balancer_arn=balancer.load_balancer_arn,
                key_arn=key_arn,
                log_days=inputs.log_days,
            ),
            otherwise=web_firewall.Outputs(),
        )

        # Airflow: the migration job, the services and the workers.
        pools = [pool.worker_pool(t) for pool in table]
        archive = t.asset("runtime")
        platform = Platform(
            image=inputs.image,
            runtime=RuntimeArchive(
                bucket=archive.bucket, key=archive.key, sha256=archive.sha256
            ),
            architecture=inputs.service_architecture,
            cluster=ecs_cluster,
            subnet_ids=task_subnet_ids,
            groups=groups.tasks,
            key_arn=key_arn,
            log_days=inputs.log_days,
            database=aurora.connection,
            broker=broker.connection,
            secrets=secrets,
            buckets=buckets.buckets,
            url=balancer.url,
            is_https=choose(has_certificate, Boolean("true"), Boolean("false")),
            default_options=choose(
                t.condition("IsProduction", Equals(inputs.profile, "production")),
                default_options(hue=None),
                default_options(hue=DEVELOPMENT_HUE),
            ),
            worker_slots=choose(
                has_parallelism, Text(inputs.parallelism.data), all_slots(pools)
            ),
            settings=inputs.airflow,
            sign_on=inputs.sign_on,
        )
        migrated = t.nest(migration.define, migration.Inputs(platform=platform))
        services = t.nest(
            airflow_services.define,
            airflow_services.Inputs(
                platform=platform,
                migration_version=migrated.version,
                pools=pool_list(t, pools),
                secret_environment=SecretEnvironment(
                    api_server=secret_text(
                        secret_variables,
                        API_SERVER.name,
                        own=[client_secret],
                    ),
                    scheduler=secret_text(secret_variables, SCHEDULER.name),
                    dag_processor=secret_text(secret_variables, DAG_PROCESSOR.name),
                    triggerer=secret_text(secret_variables, TRIGGERER.name),
                ),
                api_target_group_arn=balancer.api_target_group_arn,
                flower_target_group_arn=balancer.flower_target_group_arn,
                enable_flower=inputs.enable_flower,
                api_server_size=TaskSize(
                    cpu=inputs.api_server_cpu, memory=inputs.api_server_memory
                ),
                scheduler_size=TaskSize(
                    cpu=inputs.scheduler_cpu, memory=inputs.scheduler_memory
                ),
                dag_processor_size=TaskSize(
                    cpu=inputs.dag_processor_cpu, memory=inputs.dag_processor_memory
                ),
                triggerer_size=TaskSize(
                    cpu=inputs.triggerer_cpu, memory=inputs.triggerer_memory
                ),
                dag_security_group_ids=inputs.dag_security_group_ids,
                scheduler_count=inputs.scheduler_count,
                triggerer_count=inputs.triggerer_count,
            ),
            TimeoutInMinutes=SERVICES_MINUTES,
        )
        for pool in pools:
            pool_title = f"{title(pool.name.data)}Workers"
            pool_workers = t.nest(
                workers.define,
                workers.Inputs(
                    platform=platform,
                    network=PoolNetwork(
                        vpc_id=vpc.vpc_id,
                        database_group_id=groups.database_group_id,
                        cache_group_id=groups.cache_group_id,
                        endpoints_group_id=groups.endpoints_group_id,
                        outbound_https_cidr=inputs.outbound_https_cidr,
                        s3_prefix_list_id=inputs.s3_prefix_list_id,
                        dag_egress=own_or(
                            t, pool.dag_egress, inputs.dag_egress
                        ).slots(),
                        dag_security_group_ids=own_or(
                            t,
                            pool.dag_security_group_ids,
                            inputs.dag_security_group_ids,
                        ),
                    ),
                    permissions=DagPermissions(
                        extra_policy_arns=own_or(
                            t,
                            pool.extra_policy_arns,
                            inputs.airflow.extra_policy_arns,
                        ),
                        assumable_role_arns=own_or(
                            t,
                            pool.assumable_role_arns,
                            inputs.airflow.assumable_role_arns,
                        ),
                    ),
                    migration_version=migrated.version,
                    pool=pool,
                    secret_environment=secret_text(
                        secret_variables,
                        WORKER.name,
                        f"{POOL_TARGET}{pool.name.data}",
                    ),
                    execution_api_url=services.execution_api_url,
                ),
                name=pool_title,
                TimeoutInMinutes=SERVICES_MINUTES,
            )
            t.publish(pool_workers.identity, prefix=pool_title)
            t.nest(
                scaling.define,
                scaling.Inputs(
                    cluster_name=ecs_cluster.name,
                    service_name=pool_workers.service_name,
                    pool=pool,
                    alarm_topic_arn=topic_arn,
                ),
                name=f"{title(pool.name.data)}Scaling",
            )

        # Scaling of the API servers, and monitoring.
        t.nest(
            api_scaling.define,
            api_scaling.Inputs(
                cluster_name=ecs_cluster.name,
                service_name=services.api_server.service_name,
                minimum=inputs.api_server_minimum,
                maximum=inputs.api_server_maximum,
                cpu_percent=API_SERVER_CPU,
                requests_per_minute=API_SERVER_REQUESTS,
                workers_each=API_SERVER_WORKERS,
                api_resource_label=balancer.api_resource_label,
            ),
        )
        dashboard = t.nest(
            monitoring.define,
            monitoring.Inputs(
                alarm_topic_arn=topic_arn,
                database_id=aurora.cluster_id,
                database_min_capacity=inputs.database_min_capacity,
                database_max_capacity=inputs.database_max_capacity,
                cache_id=broker.cache_id,
                enable_cache_replica=inputs.enable_cache_replica,
                cluster_name=ecs_cluster.name,
                airflow_metrics=inputs.airflow.airflow_metrics,
                api_server_service_name=services.api_server.service_name,
                scheduler_service_name=services.scheduler.service_name,
                dag_processor_service_name=services.dag_processor.service_name,
                triggerer_service_name=services.triggerer.service_name,
                load_balancer_name=balancer.load_balancer_full_name,
                api_target_group_name=balancer.api_target_group_full_name,
            ),
        )

        return Outputs(
            web_url=balancer.url,
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
                    Bucket=buckets.buckets.dag_bucket_name,
                )
            ),
            airflow_command=services.run_command,
            dag_bucket_name=buckets.buckets.dag_bucket_name,
            release_bucket_name=buckets.buckets.release_bucket_name,
            key_arn=key_arn,
            log_bucket_name=buckets.buckets.log_bucket_name,
            cluster_name=ecs_cluster.name,
            dashboard_name=dashboard.dashboard_name,
            alarm_topic_arn=topic_arn,
            migration_log_group_name=migrated.log_group_name,
            api_log_group_name=services.api_server.log_group_name,
            scheduler_log_group_name=services.scheduler.log_group_name,
            dag_processor_log_group_name=services.dag_processor.log_group_name,
            triggerer_log_group_name=services.triggerer.log_group_name,
            database_log_group_name=aurora.log_group_name,
            dag_processor=DagIdentity(
                security_group_id=groups.tasks.dag_processor_group_id,
                task_role_arn=services.dag_processor_role_arn,
            ),
            triggerer=DagIdentity(
                security_group_id=groups.tasks.triggerer_group_id,
                task_role_arn=services.triggerer_role_arn,
            ),
            version=Text(t.product_version),
        )

    return define


define = define_with(POOLS)
