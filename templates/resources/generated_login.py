"""A user name with a generated password, as one secret."""

from __future__ import annotations

import json

from troposphere import secretsmanager

from templates.types import KeyArn

PASSWORD_LENGTH = 48
"""Letters and digits alone, so more of them: 48 hold 285 bits."""


def login(logical_id: str, username: str, key_arn: KeyArn) -> secretsmanager.Secret:
    """Return a secret with the JSON keys ``username`` and ``password``.

    It is deleted with its stack. Nothing is lost: a restored stack has new secrets, and
    the passwords are set from them again (the migration job for the database roles,
    ElastiCache for the broker's user). Retained, they would be valid passwords without
    an owner.
    """
    return secretsmanager.Secret(
        logical_id,
        DeletionPolicy="Delete",
        UpdateReplacePolicy="Delete",
        GenerateSecretString=secretsmanager.GenerateSecretString(
            SecretStringTemplate=json.dumps({"username": username}),
            GenerateStringKey="password",
            PasswordLength=PASSWORD_LENGTH,
            # Some of # / ? [ ] @ % break one of three URL parsers (C1).
            ExcludePunctuation=True,
        ),
        KmsKeyId=key_arn,
    )
