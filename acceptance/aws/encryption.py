"""Encryption at rest, encryption of connections, and public access."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from acceptance.aws.environment import AwsEnvironment
from acceptance.aws.promises import Promise, kept
from cli.errors import AwsError
from templates.airflow.environment import METADATA_DATABASE
from templates.load_balancer import TLS_POLICY

BLOCKS = (
    *("BlockPublicAcls", "IgnorePublicAcls"),
    *("BlockPublicPolicy", "RestrictPublicBuckets"),
)


def at_rest(environment: AwsEnvironment) -> str:
    """See the customer managed key on everything that is stored."""
    promises = [
        *_key(environment),
        *_buckets_at_rest(environment),
        *_database_at_rest(environment),
        *_cache_at_rest(environment),
        *_logs_at_rest(environment),
        *_secrets_at_rest(environment),
        *_cluster_at_rest(environment),
    ]
    return kept(environment, promises, remedy="AWS CloudTrail names what changed it.")


def in_transit(environment: AwsEnvironment) -> str:
    """See TLS required by the database, the broker, the listener and the buckets."""
    promises = [
        *_database_tls(environment),
        *_cache_tls(environment),
        *_listeners(environment),
        *_bucket_policies(environment),
    ]
    return kept(environment, promises, remedy="Compare with build.py plan ENV.")


def not_public(environment: AwsEnvironment) -> str:
    """See no bucket, database, task or load balancer more public than promised."""
    promises = [
        *_public_access_blocks(environment),
        *_public_addresses(environment),
        *_schemes(environment),
    ]
    return kept(environment, promises, remedy="AWS CloudTrail names what opened it.")


# At rest.


def _key(environment: AwsEnvironment) -> Iterator[Promise]:
    key = environment.id_of("Encryption/Key")
    state = environment.aws.call("kms", "describe_key", key, KeyId=key)["KeyMetadata"]
    rotation = environment.aws.call("kms", "get_key_rotation_status", key, KeyId=key)
    yield Promise("KMS key", "state", state["KeyState"], "Enabled")
    yield Promise.on("KMS key", "rotation", rotation["KeyRotationEnabled"])


def _buckets_at_rest(environment: AwsEnvironment) -> Iterator[Promise]:
    for name, bucket in _buckets(environment).items():
        answer = environment.aws.call(
            "s3", "get_bucket_encryption", bucket, Bucket=bucket
        )
        (rule,) = answer["ServerSideEncryptionConfiguration"]["Rules"]
        default = rule["ApplyServerSideEncryptionByDefault"]
        if name == "AccessLogs":
            # Load balancers cannot write with a customer key.
            algorithm = default["SSEAlgorithm"]
            yield Promise(f"bucket {name}", "algorithm", algorithm, "AES256")
        else:
            key = default.get("KMSMasterKeyID")
            yield Promise(f"bucket {name}", "KMS key", key, environment.key_arn)


def _database_at_rest(environment: AwsEnvironment) -> Iterator[Promise]:
    cluster, _ = _database(environment)
    yield Promise.on("database", "StorageEncrypted", cluster.get("StorageEncrypted"))
    key = cluster.get("KmsKeyId")
    yield Promise("database", "KmsKeyId", key, environment.key_arn)


def _cache_at_rest(environment: AwsEnvironment) -> Iterator[Promise]:
    cache = _cache(environment)
    yield Promise.on("broker", "at rest", cache.get("AtRestEncryptionEnabled"))
    yield Promise("broker", "KmsKeyId", cache.get("KmsKeyId"), environment.key_arn)


def _logs_at_rest(environment: AwsEnvironment) -> Iterator[Promise]:
    for resource in environment.of_type("AWS::Logs::LogGroup"):
        group = resource.physical_id
        answer = environment.aws.call(
            "logs", "describe_log_groups", group, logGroupNamePrefix=group
        )
        keys = {
            entry["logGroupName"]: entry.get("kmsKeyId")
            for entry in answer["logGroups"]
        }
        yield Promise(resource.name, "kmsKeyId", keys.get(group), environment.key_arn)


def _secrets_at_rest(environment: AwsEnvironment) -> Iterator[Promise]:
    for resource in environment.of_type("AWS::SecretsManager::Secret"):
        arn = resource.physical_id
        secret = environment.aws.call(
            "secretsmanager", "describe_secret", arn, SecretId=arn
        )
        yield Promise(
            resource.name, "KmsKeyId", secret.get("KmsKeyId"), environment.key_arn
        )


def _cluster_at_rest(environment: AwsEnvironment) -> Iterator[Promise]:
    name = environment.outputs["ClusterName"]
    (cluster,) = environment.aws.call(
        "ecs",
        "describe_clusters",
        name,
        clusters=[name],
        include=["CONFIGURATIONS"],
    )["clusters"]
    configuration = cluster["configuration"]
    for setting, observed in (
        (
            "disks of tasks",
            configuration["managedStorageConfiguration"].get(
                "fargateEphemeralStorageKmsKeyId"
            ),
        ),
        (
            "ECS Exec sessions",
            configuration["executeCommandConfiguration"].get("kmsKeyId"),
        ),
    ):
        yield Promise("ECS cluster", setting, observed, environment.key_arn)
    topic = environment.outputs["AlarmTopicArn"]
    attributes = environment.aws.call(
        "sns", "get_topic_attributes", topic, TopicArn=topic
    )["Attributes"]
    # The topic has the key's ID or its ARN, as the template wrote it.
    key = str(attributes.get("KmsMasterKeyId") or "").rpartition("/")[2]
    yield Promise(
        "alarm topic", "KmsMasterKeyId", key, environment.key_arn.rpartition("/")[2]
    )


# In transit.


def _database_tls(environment: AwsEnvironment) -> Iterator[Promise]:
    group = environment.id_of("Database/Settings")
    values = {
        parameter["ParameterName"]: parameter.get("ParameterValue")
        for page in _marked(
            environment,
            "describe_db_cluster_parameters",
            DBClusterParameterGroupName=group,
            Source="user",
        )
        for parameter in page["Parameters"]
    }
    yield Promise("database", "rds.force_ssl", values.get("rds.force_ssl"), "1")
    cluster, _ = _database(environment)
    yield Promise(
        *("database", "parameter group"),
        cluster.get("DBClusterParameterGroup"),
        group,
    )
    clients = {component.name for component in METADATA_DATABASE}
    for definition in environment.definitions().values():
        for container in definition["containerDefinitions"]:
            if container["name"] in clients:
                values = {e["name"]: e["value"] for e in container["environment"]}
                yield Promise(
                    container["name"],
                    "PGSSLMODE",
                    values.get("PGSSLMODE"),
                    "verify-full",
                )


def _cache_tls(environment: AwsEnvironment) -> Iterator[Promise]:
    cache = _cache(environment)
    yield Promise.on("broker", "in transit", cache.get("TransitEncryptionEnabled"))
    mode = cache.get("TransitEncryptionMode")
    yield Promise("broker", "TransitEncryptionMode", mode, "required")


def _listeners(environment: AwsEnvironment) -> Iterator[Promise]:
    balancer = environment.id_of("LoadBalancer/LoadBalancer")
    answer = environment.aws.call(
        "elbv2", "describe_listeners", balancer, LoadBalancerArn=balancer
    )
    by_port = {listener["Port"]: listener for listener in answer["Listeners"]}
    has_certificate = bool(environment.stack.parameters.get("CertificateArn"))
    promised = {80: "HTTP", **({443: "HTTPS"} if has_certificate else {})}
    observed = {port: listener["Protocol"] for port, listener in by_port.items()}
    yield Promise("load balancer", "listeners", observed, promised)
    if has_certificate and set(by_port) >= {80, 443}:
        policy = by_port[443].get("SslPolicy")
        yield Promise("HTTPS listener", "SslPolicy", policy, TLS_POLICY)
        (action,) = by_port[80]["DefaultActions"]
        yield Promise("HTTP listener", "default action", action["Type"], "redirect")


def _bucket_policies(environment: AwsEnvironment) -> Iterator[Promise]:
    for name, bucket in _buckets(environment).items():
        text = environment.aws.call("s3", "get_bucket_policy", bucket, Bucket=bucket)
        denies = any(
            statement["Effect"] == "Deny"
            and statement.get("Condition", {}).get("Bool")
            == {"aws:SecureTransport": "false"}
            for statement in json.loads(text["Policy"])["Statement"]
        )
        yield Promise.on(f"bucket {name}", "denies requests without TLS", denies)


# Public access.


def _public_access_blocks(environment: AwsEnvironment) -> Iterator[Promise]:
    for name, bucket in _buckets(environment).items():
        try:
            answer = environment.aws.call(
                "s3", "get_public_access_block", bucket, Bucket=bucket
            )
        except AwsError as error:
            if error.code != "NoSuchPublicAccessBlockConfiguration":
                raise
            answer = {"PublicAccessBlockConfiguration": {}}
        settings = answer["PublicAccessBlockConfiguration"]
        for block in BLOCKS:
            yield Promise.on(f"bucket {name}", block, bool(settings.get(block)))


def _public_addresses(environment: AwsEnvironment) -> Iterator[Promise]:
    _, instances = _database(environment)
    for instance in instances:
        name = instance["DBInstanceIdentifier"]
        public = instance.get("PubliclyAccessible")
        yield Promise(name, "PubliclyAccessible", public, promised=False)
    for service in environment.services():
        network = service["networkConfiguration"]["awsvpcConfiguration"]
        assigned = network.get("assignPublicIp", "DISABLED")
        yield Promise(service["serviceName"], "assignPublicIp", assigned, "DISABLED")


def _schemes(environment: AwsEnvironment) -> Iterator[Promise]:
    balancer = environment.id_of("LoadBalancer/LoadBalancer")
    (answer,) = environment.aws.call(
        "elbv2", "describe_load_balancers", balancer, LoadBalancerArns=[balancer]
    )["LoadBalancers"]
    scheme = environment.stack.parameters["LoadBalancerScheme"]
    yield Promise("load balancer", "scheme", answer["Scheme"], scheme)


# Resources.


def _buckets(environment: AwsEnvironment) -> dict[str, str]:
    return {r.logical_id: r.physical_id for r in environment.of_type("AWS::S3::Bucket")}


def _database(
    environment: AwsEnvironment,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the Aurora cluster and its instances."""
    name = environment.id_of("Database/Cluster")
    (cluster,) = environment.aws.call(
        "rds", "describe_db_clusters", name, DBClusterIdentifier=name
    )["DBClusters"]
    instances = [
        environment.aws.call(
            "rds",
            "describe_db_instances",
            resource.physical_id,
            DBInstanceIdentifier=resource.physical_id,
        )["DBInstances"][0]
        for resource in environment.of_type("AWS::RDS::DBInstance")
    ]
    return cluster, instances


def _cache(environment: AwsEnvironment) -> dict[str, Any]:
    name = environment.id_of("Cache/Nodes")
    (group,) = environment.aws.call(
        "elasticache", "describe_replication_groups", name, ReplicationGroupId=name
    )["ReplicationGroups"]
    description: dict[str, Any] = group
    return description


def _marked(
    environment: AwsEnvironment, operation: str, **parameters: Any
) -> Iterator[dict[str, Any]]:
    """Yield the pages of an operation of RDS."""
    while True:
        page = environment.aws.call("rds", operation, **parameters)
        yield page
        if not page.get("Marker"):
            return
        parameters["Marker"] = page["Marker"]
