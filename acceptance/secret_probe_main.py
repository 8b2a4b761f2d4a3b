"""Reads secrets with the role of a container; Airflow's own Python runs it.

Standard input is a list of names, standard output a list of the codes of errors, empty
where the secret was read. No value goes out.
"""

from __future__ import annotations

import json
import sys

import boto3
from botocore.exceptions import ClientError


def error(name: str) -> str:
    """Return the code of the error, or nothing."""
    try:
        boto3.client("secretsmanager").get_secret_value(SecretId=name)
    except ClientError as refused:
        return str(refused.response["Error"]["Code"])
    return ""


if __name__ == "__main__":
    json.dump([error(name) for name in json.load(sys.stdin)], sys.stdout)
