"""RDS as MiniStack's CloudFormation leaves it incomplete: the managed master secret."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any

from local.emulator.patches.ministack import account, names, region

RDS = names("services.rds")
SECRETS = names("services.secretsmanager")
CLUSTER = "AWS::RDS::DBCluster"

Made = tuple[str, dict[str, Any]]


def completed(handlers: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the handlers of a cluster whose master password RDS keeps."""
    native = handlers[CLUSTER]

    def create(logical_id: str, properties: dict[str, Any], stack_name: str) -> Made:
        made = native["create"](logical_id, properties, stack_name)
        return _with_secret(made, properties)

    def update(
        physical_id: str, old: Any, new: dict[str, Any], stack_name: str, *more: Any
    ) -> Made:
        return _with_secret(
            native["update"](physical_id, old, new, stack_name, *more), new
        )

    def delete(physical_id: str, properties: Any) -> None:
        secret = (RDS["_clusters"].get(physical_id) or {}).get("MasterUserSecret")
        native["delete"](physical_id, properties)
        if secret:
            SECRETS["delete_secret_in_process"](secret["SecretArn"])

    return {CLUSTER: {**native, "create": create, "update": update, "delete": delete}}


def _with_secret(made: Made, properties: dict[str, Any]) -> Made:
    """Keep the master's login in a secret, once, as RDS does when asked to."""
    physical_id, attributes = made
    if not properties.get("ManageMasterUserPassword"):
        return made
    cluster = RDS["_clusters"][physical_id]
    if not cluster.get("MasterUserSecret"):
        arn = SECRETS["create_secret_in_process"](
            f"rds!cluster-{cluster['DbClusterResourceId'].lower()}",
            json.dumps(
                {
                    "username": properties.get("MasterUsername", "admin"),
                    "password": secrets.token_urlsafe(24),
                }
            ),
            description=f"Secret managed by RDS for DB cluster {physical_id}",
        )
        key = (properties.get("MasterUserSecret") or {}).get("KmsKeyId") or (
            f"arn:aws:kms:{region()}:{account()}:alias/aws/secretsmanager"
        )
        cluster["MasterUserSecret"] = {
            "SecretArn": arn,
            "SecretStatus": "active",
            "KmsKeyId": key,
        }
    return physical_id, {
        **attributes,
        "MasterUserSecret.SecretArn": cluster["MasterUserSecret"]["SecretArn"],
    }
