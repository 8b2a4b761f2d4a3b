"""The secrets that Airflow's components sign and encrypt with, and the first logins.

Every value is generated in the account; no person and no parameter supplies one. A
secret that signs or encrypts is a plain string, so that ECS injects it whole;
a login is JSON, from which ECS picks ``username`` and ``password``. Letters and
digits only: Airflow expands ``$`` and ``~`` in plain settings, and URLs break on
other marks.

CloudFormation generates a value once, when the secret is made, and again when the
recipe (length, alphabet) changes: so a recipe never changes. Nothing is rotated by
schedule, because ECS injects a secret when a task starts and a value that changed
in between would split the components. A JWT, API or Flower secret is renewed by
putting a new value into it and forcing a new deployment of the services.

The Fernet key encrypts data in the database, so its rotation has two keys at once.
There are two secrets, and ``fernet_key_rotation`` says which exist and which one
encrypts. From ``first``, with an update of the stack for each step: ``first-second``
creates the second key and gives it to every component, ``second-first`` encrypts with
it; then run ``airflow rotate-fernet-key`` once; then ``second`` removes the first. The
way back is the same, with a new first key. No component ever reads a value that it
cannot decrypt. A step must not be skipped: CloudFormation does not know the previous
one. A removed key is retained in the account, outside the stack, until an operator
deletes it.

A database restored from a snapshot needs the Fernet key of its time:
``fernet_key_secret_arn`` names the secret that holds it, which then takes the place of
the first. The steps of a rotation lead from it to a key of this stack.
"""

from __future__ import annotations

from troposphere import And, Condition, Equals, If, Not, Or, Ref, secretsmanager

from compiler.wiring import Interface, Template, about
from templates.resources.generated_login import login
from templates.types import (
    AirflowSecrets,
    Boolean,
    ExistingSecretArn,
    FernetKeyRotation,
    KeyArn,
    SecretArn,
)

FERNET_LENGTH = 64
"""381 bits in letters and digits; the runtime hashes it to the 256 that Fernet takes.

Secrets Manager cannot make a Fernet key itself: one is 44 characters and ends in =.
"""
JWT_LENGTH = 96
"""HS512 wants 64 bytes at least, and a letter or digit carries less than a byte."""
API_LENGTH = 64


class Inputs(Interface):
    """Encryption key, and the state of the Fernet key rotation."""

    key_arn: KeyArn = about("KMS key that encrypts every secret.")
    fernet_key_rotation: FernetKeyRotation = about(
        "Which Fernet keys exist; the one named first encrypts."
    )
    fernet_key_secret_arn: ExistingSecretArn = about(
        "Secret in place of the first Fernet key, or nothing."
    )
    enable_flower: Boolean = about("Whether Flower runs.")


class Outputs(Interface):
    """The ARNs of the secrets; their values never leave Secrets Manager."""

    secrets: AirflowSecrets = about("Secrets of the components.", flat=True)


def define(t: Template, inputs: Inputs) -> Outputs:
    """Add the secrets."""
    # Two Fernet secrets; one exists only while a key replaces the other.
    rotation = inputs.fernet_key_rotation
    is_first_primary = t.condition(
        "IsFirstFernetPrimary",
        Or(Equals(rotation, "first"), Equals(rotation, "first-second")),
    )
    has_first = t.condition("HasFirstFernet", Not(Equals(rotation, "second")))
    has_second = t.condition("HasSecondFernet", Not(Equals(rotation, "first")))
    is_first_existing = t.condition(
        "IsFirstFernetExisting", Not(Equals(inputs.fernet_key_secret_arn, ""))
    )
    uses_existing = t.condition(
        "HasExistingFernet", And(Condition(has_first), Condition(is_first_existing))
    )
    generates_first = t.condition(
        "IsFirstFernetGenerated",
        And(Condition(has_first), Not(Condition(is_first_existing))),
    )
    has_both = t.condition(
        "HasBothFernets", And(Condition(has_first), Condition(has_second))
    )
    generated, second = (
        t.add(
            secretsmanager.Secret(
                name,
                Condition=condition,
                Description="Source of the key for Airflow connections and variables.",
                KmsKeyId=inputs.key_arn,
                GenerateSecretString=_text(FERNET_LENGTH),
                DeletionPolicy="RetainExceptOnCreate",
                UpdateReplacePolicy="Retain",
            ),
            f"{order} source of the Fernet key, which the containers derive from it.",
            why="Retained: without it every connection and variable in the database "
            "and in its snapshots is lost.",
        )
        for name, condition, order in (
            ("FernetFirst", generates_first, "First"),
            ("FernetSecond", has_second, "Second"),
        )
    )
    first = If(is_first_existing, inputs.fernet_key_secret_arn, Ref(generated))

    # Signing keys. Losing one ends all sessions and loses no data.
    jwt = t.add(
        secretsmanager.Secret(
            "Jwt",
            Description="Signs Airflow's user and task tokens.",
            KmsKeyId=inputs.key_arn,
            GenerateSecretString=_text(JWT_LENGTH),
            DeletionPolicy="Delete",
            UpdateReplacePolicy="Delete",
        ),
        "Key that signs user and task tokens, for API server and scheduler alone.",
        why="Its holder can forge both kinds of token, so it is never derived from "
        "the Fernet key, which more components hold.",
    )
    api = t.add(
        secretsmanager.Secret(
            "Api",
            Description="Signs Airflow's sessions and log requests.",
            KmsKeyId=inputs.key_arn,
            GenerateSecretString=_text(API_LENGTH),
            DeletionPolicy="Delete",
            UpdateReplacePolicy="Delete",
        ),
        "Key that signs sessions and requests for the logs of running tasks.",
        why="One value for every component, or reading a log answers 403.",
    )

    # Logins.
    admin = t.add(
        login("Admin", "admin", inputs.key_arn),
        "Login of the first administrator, which the migration job creates once.",
        why="A new value here changes no password: that is in the database.",
    )
    has_flower = t.condition("HasFlower", Equals(inputs.enable_flower, "true"))
    flower = t.add(
        login("Flower", "flower", inputs.key_arn),
        "Login of Flower.",
    )
    flower.Condition = has_flower

    return Outputs(
        secrets=AirflowSecrets(
            fernet_secret_arn=SecretArn(If(is_first_primary, first, Ref(second))),
            previous_fernet_secret_arn=SecretArn(
                If(has_both, If(is_first_primary, Ref(second), first), "")
            ),
            existing_fernet_secret_arn=SecretArn(
                If(uses_existing, inputs.fernet_key_secret_arn, "")
            ),
            jwt_secret_arn=SecretArn(Ref(jwt)),
            api_secret_arn=SecretArn(Ref(api)),
            admin_secret_arn=SecretArn(Ref(admin)),
            flower_secret_arn=SecretArn(If(has_flower, Ref(flower), "")),
        )
    )


def _text(length: int) -> secretsmanager.GenerateSecretString:
    return secretsmanager.GenerateSecretString(
        PasswordLength=length, ExcludePunctuation=True
    )
