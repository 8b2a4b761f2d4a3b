"""The secrets Airflow's components sign and encrypt with, and the first logins.

Every value is generated in the account; nobody supplies one and no parameter holds
one. A secret that signs or encrypts is a plain string, so that ECS injects it whole;
a login is JSON, from which ECS picks ``username`` and ``password``. Letters and
digits only: Airflow expands ``$`` and ``~`` in plain settings, and URLs break on
other marks.

CloudFormation generates a value once, when the secret is made, and again when the
recipe (length, alphabet) changes: so a recipe never changes. Nothing is rotated by
schedule, because ECS injects a secret when a task starts and a value that changed
in between would split the components. A JWT, API or Flower secret is renewed by
putting a new value into it and forcing a new deployment of the services.

The Fernet key encrypts what lies in the database, so its renewal has two keys
at once. There are two places for a key, and ``fernet_key_rotation`` says which exist and
which one encrypts. From ``first``, with an update of the stack for each step:
``first-second`` makes the second key and teaches it to every component,
``second-first`` lets it encrypt; then run ``airflow rotate-fernet-key`` once; then
``second`` forgets the first. The way back is the same, with a key made anew. At no
moment does a component meet a value that it cannot read. A step must not be skipped:
CloudFormation cannot see where it comes from. A key that is left behind is retained
in the account, outside the stack, until somebody deletes it.

A database restored from a snapshot needs the Fernet value of its time: put it into
this stack's secret and force a new deployment.
"""

from __future__ import annotations

from troposphere import And, Condition, Equals, If, Not, Or, Ref, secretsmanager

from compiler.wiring import Interface, Template, about
from templates.resources.generated_login import login
from templates.types import FernetKeyRotation, KeyArn, Keys, SecretArn

FERNET_LENGTH = 64
"""381 bits in letters and digits; the runtime hashes it to the 256 that Fernet takes.

Secrets Manager cannot make a Fernet key itself: one is 44 characters and ends in =.
"""
JWT_LENGTH = 96
"""HS512 wants 64 bytes at least, and a letter or digit carries less than a byte."""
API_LENGTH = 64


class Inputs(Interface):
    """What the secrets are made with."""

    key_arn: KeyArn = about("KMS key that encrypts every secret.")
    fernet_key_rotation: FernetKeyRotation = about(
        "Which Fernet keys exist; the one named first encrypts."
    )


class Outputs(Interface):
    """Where the secrets lie; their values never leave Secrets Manager."""

    keys: Keys = about("What the components sign and encrypt with.")
    admin_secret_arn: SecretArn = about("Login of the first administrator.")
    flower_secret_arn: SecretArn = about("Login of Flower.")


def define(t: Template, given: Inputs) -> Outputs:
    """Make the secrets."""
    # Two places for the Fernet key; one is empty unless a key replaces the other.
    slots = given.fernet_key_rotation
    is_first_primary = t.condition(
        "IsFirstFernetPrimary",
        Or(Equals(slots, "first"), Equals(slots, "first-second")),
    )
    has_first = t.condition("HasFirstFernet", Not(Equals(slots, "second")))
    has_second = t.condition("HasSecondFernet", Not(Equals(slots, "first")))
    has_both = t.condition(
        "HasBothFernets", And(Condition(has_first), Condition(has_second))
    )
    first, second = (
        t.add(
            secretsmanager.Secret(
                name,
                Condition=condition,
                Description="Source of the key for Airflow connections and variables.",
                KmsKeyId=given.key_arn,
                GenerateSecretString=_text(FERNET_LENGTH),
                DeletionPolicy="Retain",
                UpdateReplacePolicy="Retain",
            ),
            f"{order} source of the Fernet key, which the containers derive from it.",
            why="Retained: without it every connection and variable in the database "
            "and in its snapshots is lost.",
        )
        for name, condition, order in (
            ("FernetFirst", has_first, "First"),
            ("FernetSecond", has_second, "Second"),
        )
    )

    # What signs. Losing one logs everybody out and loses no data.
    jwt = t.add(
        secretsmanager.Secret(
            "Jwt",
            Description="Signs Airflow's user and task tokens.",
            KmsKeyId=given.key_arn,
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
            KmsKeyId=given.key_arn,
            GenerateSecretString=_text(API_LENGTH),
            DeletionPolicy="Delete",
            UpdateReplacePolicy="Delete",
        ),
        "Key that signs sessions and requests for the logs of running tasks.",
        why="One value for every component, or reading a log answers 403.",
    )

    # Who may log in first.
    admin = t.add(
        login("Admin", "admin", given.key_arn),
        "Login of the first administrator, whom the migration job creates once.",
        why="A new value here changes no password: that lies in the database.",
    )
    flower = t.add(
        login("Flower", "flower", given.key_arn),
        "Login of Flower.",
        why="Made without Flower too, so that switching it off and on again keeps "
        "the password.",
    )

    return Outputs(
        keys=Keys(
            fernet_secret_arn=SecretArn(If(is_first_primary, Ref(first), Ref(second))),
            previous_fernet_secret_arn=SecretArn(
                If(has_both, If(is_first_primary, Ref(second), Ref(first)), "")
            ),
            jwt_secret_arn=SecretArn(Ref(jwt)),
            api_secret_arn=SecretArn(Ref(api)),
        ),
        admin_secret_arn=SecretArn(Ref(admin)),
        flower_secret_arn=SecretArn(Ref(flower)),
    )


def _text(length: int) -> secretsmanager.GenerateSecretString:
    return secretsmanager.GenerateSecretString(
        PasswordLength=length, ExcludePunctuation=True
    )
