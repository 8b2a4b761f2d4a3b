"""RDS clusters: the managed master secret that MiniStack's CloudFormation omits."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any

from local.emulator.patches.ministack import (
    CreateResult,
    Handlers,
    account,
    completed,
    names,
    region,
)

RDS = names("services.rds")
SECRETS = names("services.secretsmanager")
CLUSTER = "AWS::RDS::DBCluster"


def patched(handlers: Mapping[str, Handlers]) -> dict[str, Handlers]:
    """Return the handlers of a cluster with a managed master password."""
    native = handlers[CLUSTER]

    def delete(physical_id: str, properties: Any) -> None:
        secret = (RDS["_clusters"].get(physical_id) or {}).get("MasterUserSecret")
        native["delete"](physical_id, properties)
        if secret:
            SECRETS["delete_secret_in_process"](secret["SecretArn"])

    return {CLUSTER: {**completed(native, _with_secret), "delete": delete}}


def _with_secret(result: CreateResult, properties: dict[str, Any]) -> CreateResult:
    """Create the secret of a managed master password once, as RDS does."""
    physical_id, attributes = result
    if not properties.get("ManageMasterUserPassword"):
        return result
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
