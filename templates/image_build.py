"""Repository of a team's container image, and the project that builds it.

``build.py image`` deploys it as a stack of its own, uploads the source and starts the
build. The stack of an environment has the digest of the image as its parameter, and
nothing else in common with this one.

The repository keeps the newest images by their number. It does not know which image an
environment runs: one that is still run is the oldest kept only after a hundred builds,
and ``preflight`` says when ECR does not have it any more.
"""

from __future__ import annotations

import json
from typing import Any

import awacs.ecr
import awacs.kms
import awacs.logs
import awacs.s3
import awacs.secretsmanager
from awacs.aws import (
    Action,
    Allow,
    ArnLike,
    Condition,
    PolicyDocument,
    Principal,
    Statement,
    StringEquals,
)
from troposphere import (
    AWSHelperFn,
    Equals,
    GetAtt,
    If,
    Not,
    NoValue,
    Ref,
    Sub,
    codebuild,
    ecr,
    iam,
    kms,
    logs,
)

from compiler.wiring import Interface, Template, about
from templates.resources.assume_role import trust
from templates.types import (
    ARN,
    Architecture,
    Image,
    OptionalBucketName,
    PolicyArn,
    Text,
)

KEPT_IMAGES = 100
UNTAGGED_DAYS = 14
LOG_DAYS = 90
PENDING_DAYS = 30
"""KMS's longest wait: an image whose key is gone cannot be pulled."""

BUILD_MINUTES = 60
QUEUED_MINUTES = 30

SOURCES = "images"
"""Folder in the bucket of published files, in which the sources are uploaded."""

BUILDKIT = "public.ecr.aws/vend/moby/buildkit:buildx-stable-1"
"""The mirror of BuildKit in ECR Public: Docker Hub limits anonymous pulls."""

BUILD = (
    "docker buildx build --builder image --provenance=false --progress=plain "
    "--build-arg AIRFLOW_IMAGE=$AIRFLOW_IMAGE "
    "${INDEX_URL:+--secret id=index,env=INDEX_URL}"
)

PIP_CHECK = (
    "import subprocess, sys; "
    "sys.exit(subprocess.run([sys.executable, '-m', 'pip', 'check']).returncode)"
)
CHECKS = {
    "The image holds no Airflow": "import airflow",
    "A package of the image does not go with another one": PIP_CHECK,
}
"""What a check means that fails, and the Python that the image runs for it."""

LOGIN = (
    '(set -e; for registry in "$REPOSITORY" ${BASE_REPOSITORY:+"$AIRFLOW_IMAGE"}; do '
    'aws ecr get-login-password --region "$AWS_REGION" | '
    'docker login --username AWS --password-stdin "${registry%%/*}"; done)'
)
BUILDER = (
    "docker buildx create --name image --driver docker-container "
    f"--driver-opt image={BUILDKIT} --bootstrap"
)
PUSH = (
    'test "$CODEBUILD_BUILD_SUCCEEDING" = 1 && '
    f"{BUILD} --metadata-file pushed.json --output type=image,"
    "name=$REPOSITORY:$TAG,push=true,oci-mediatypes=true,"
    "compression=zstd,compression-level=3,force-compression=true ."
)
DIGEST = (
    'export IMAGE_DIGEST=$(python3 -c "import json; '
    "print(json.load(open('pushed.json'))['containerimage.digest'])\")"
)

SPEC: dict[str, Any] = {
    "version": 0.2,
    "env": {"shell": "bash", "exported-variables": ["IMAGE_DIGEST"]},
    "phases": {
        "pre_build": {"commands": [LOGIN, BUILDER]},
        "build": {
            "on-failure": "ABORT",
            "commands": [
                f"{BUILD} --load --tag built .",
                *(
                    f'docker run --rm --entrypoint python built -c "{code}" || '
                    f"(echo 'error: {meaning}.'; exit 1)"
                    for meaning, code in CHECKS.items()
                ),
            ],
        },
        "post_build": {"commands": [PUSH, DIGEST]},
    },
}
"""It builds, checks what was built, and only then pushes, from the layers it has.

A command that fails ends its phase. CodeBuild runs ``post_build`` also after a failed
build, unless ``on-failure`` says ABORT.
"""


class Inputs(Interface):
    """What the build reads."""

    architecture: Architecture = about(
        "Processor that the image is built for.",
        group="Build",
        label="Processor",
        Default="X86_64",
    )
    bucket: OptionalBucketName = about(
        "Bucket that sources are uploaded to. Empty for the default one of this "
        "account and region.",
        group="Build",
        label="Bucket",
        Default="",
    )
    base_image: Image = about(
        "Image of Airflow that the build begins with.",
        group="Build",
        label="Base image",
        Default="apache/airflow:3.3.2-python3.12",
    )
    base_repository: Text = about(
        "Repository of the base image in ECR of this account and region, "
        "such as docker-hub/apache/airflow of a pull-through cache. Empty for none.",
        group="Build",
        label="Base repository",
        Default="",
        AllowedPattern=r"^([a-z0-9][a-z0-9._/-]*)?$",
        ConstraintDescription="The name of a repository, or nothing.",
    )
    index_secret_arn: Text = about(
        "Secret that holds the URL of a private package index, with its login. The "
        "build reads it; neither a layer nor a log has it. Empty for none.",
        group="Build",
        label="Package index",
        Default="",
        AllowedPattern=rf"^({ARN}secretsmanager:[a-z0-9-]+:\d{{12}}:secret:.+)?$",
        ConstraintDescription="The ARN of a secret, or nothing.",
    )
    permissions_boundary_arn: PolicyArn = about(
        "Managed policy that bounds the role of the build. Empty for none.",
        group="Build",
        label="Permissions boundary",
        Default="",
    )


class Outputs(Interface):
    """What ``build.py image`` starts."""

    repository_uri: Text = about("Address of the repository, without a tag.")
    project_name: Text = about("Project that builds the image.")


def define(t: Template, inputs: Inputs) -> Outputs:
    """Add the key, the repository, and the project with its role and log."""
    has_boundary = t.condition(
        "HasBoundary", Not(Equals(inputs.permissions_boundary_arn, ""))
    )
    has_base = t.condition("HasBase", Not(Equals(inputs.base_repository, "")))
    has_index = t.condition("HasIndex", Not(Equals(inputs.index_secret_arn, "")))
    has_bucket = t.condition("HasBucket", Not(Equals(inputs.bucket, "")))
    is_arm = t.condition("IsArm", Equals(inputs.architecture, "ARM64"))
    bucket = If(
        has_bucket,
        inputs.bucket,
        Sub("airflow-on-fargate-${AWS::AccountId}-${AWS::Region}"),
    )

    key = t.add(_key(), "Key that encrypts the images and the log of builds.")
    repository = t.add(
        ecr.Repository(
            "Repository",
            DeletionPolicy="RetainExceptOnCreate",
            UpdateReplacePolicy="Retain",
            EncryptionConfiguration=ecr.EncryptionConfiguration(
                EncryptionType="KMS", KmsKey=GetAtt(key, "Arn")
            ),
            ImageScanningConfiguration=ecr.ImageScanningConfiguration(ScanOnPush=True),
            ImageTagMutability="IMMUTABLE",
            LifecyclePolicy=ecr.LifecyclePolicy(LifecyclePolicyText=_lifecycle()),
        ),
        "The images, each under the digest of its source.",
        why="Retained: environments run its images. A tag is never moved, so the same "
        "source always means the same image.",
    )
    log = t.add(
        logs.LogGroup(
            "Log",
            DeletionPolicy="RetainExceptOnCreate",
            UpdateReplacePolicy="Retain",
            KmsKeyId=GetAtt(key, "Arn"),
            RetentionInDays=LOG_DAYS,
        ),
        "Log of every build.",
    )
    build = t.add(
        _policy("BuildPolicy", *_statements(repository, log, bucket)),
        "Reads one folder of sources and pushes to one repository.",
    )
    base = t.add(
        _policy("BasePolicy", _base(inputs), Condition=has_base),
        "Pulls the base image.",
    )
    private_index = t.add(
        _policy("IndexPolicy", _index(inputs), _index_key(inputs), Condition=has_index),
        "Reads the address of the package index.",
    )
    role = t.add(
        iam.Role(
            "BuildRole",
            AssumeRolePolicyDocument=trust(
                "codebuild.amazonaws.com", on_behalf_of="codebuild:project/*"
            ),
            PermissionsBoundary=If(
                has_boundary, inputs.permissions_boundary_arn, NoValue
            ),
            ManagedPolicyArns=[
                Ref(build),
                If(has_base, Ref(base), NoValue),
                If(has_index, Ref(private_index), NoValue),
            ],
        ),
        "Role of the build.",
    )
    variables = [
        codebuild.EnvironmentVariable(Name=name, Value=value)
        for name, value in (
            ("REPOSITORY", GetAtt(repository, "RepositoryUri")),
            ("AIRFLOW_IMAGE", inputs.base_image),
            ("BASE_REPOSITORY", inputs.base_repository),
        )
    ]
    index = codebuild.EnvironmentVariable(
        Name="INDEX_URL", Type="SECRETS_MANAGER", Value=inputs.index_secret_arn
    )
    project = t.add(
        codebuild.Project(
            "Project",
            Description=Sub("Builds the Airflow image of ${AWS::StackName}."),
            ServiceRole=GetAtt(role, "Arn"),
            EncryptionKey=GetAtt(key, "Arn"),
            Artifacts=codebuild.Artifacts(Type="NO_ARTIFACTS"),
            Cache=codebuild.ProjectCache(
                Type="LOCAL", Modes=["LOCAL_DOCKER_LAYER_CACHE"]
            ),
            Environment=codebuild.Environment(
                ComputeType="BUILD_GENERAL1_LARGE",
                Type=If(is_arm, "ARM_CONTAINER", "LINUX_CONTAINER"),
                Image=If(
                    is_arm,
                    "aws/codebuild/amazonlinux-aarch64-standard:3.0",
                    "aws/codebuild/amazonlinux-x86_64-standard:5.0",
                ),
                PrivilegedMode=True,
                EnvironmentVariables=If(has_index, [*variables, index], variables),
            ),
            LogsConfig=codebuild.LogsConfig(
                CloudWatchLogs=codebuild.CloudWatchLogs(
                    Status="ENABLED", GroupName=Ref(log)
                )
            ),
            QueuedTimeoutInMinutes=QUEUED_MINUTES,
            Source=codebuild.Source(
                Type="NO_SOURCE", BuildSpec=json.dumps(SPEC, indent=1)
            ),
            TimeoutInMinutes=BUILD_MINUTES,
        ),
        "Builds, checks and pushes an image.",
        why="Privileged: Docker needs it to build. Each build names its own source. "
        "Layers are compressed with zstd, which Fargate unpacks faster than gzip.",
    )
    return Outputs(
        repository_uri=Text(GetAtt(repository, "RepositoryUri")),
        project_name=Text(Ref(project)),
    )


def _policy(name: str, *statements: Statement, **attributes: Any) -> iam.ManagedPolicy:
    document = PolicyDocument(Version="2012-10-17", Statement=list(statements))
    return iam.ManagedPolicy(name, PolicyDocument=document, **attributes)


def _key() -> kms.Key:
    """Return a key of which IAM policies of the account and the log group have use."""
    log_groups = Sub(
        "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:*"
    )
    return kms.Key(
        "Key",
        DeletionPolicy="RetainExceptOnCreate",
        UpdateReplacePolicy="Retain",
        Description=Sub("Images and logs of ${AWS::StackName}."),
        EnableKeyRotation=True,
        PendingWindowInDays=PENDING_DAYS,
        KeyPolicy=PolicyDocument(
            Version="2012-10-17",
            Statement=[
                Statement(
                    Sid="AccountAdministration",
                    Effect=Allow,
                    Principal=Principal(
                        "AWS", Sub("arn:${AWS::Partition}:iam::${AWS::AccountId}:root")
                    ),
                    Action=[Action("kms", "*")],
                    Resource=["*"],
                ),
                Statement(
                    Sid="LogGroups",
                    Effect=Allow,
                    Principal=Principal(
                        "Service", Sub("logs.${AWS::Region}.${AWS::URLSuffix}")
                    ),
                    Action=[
                        awacs.kms.Decrypt,
                        awacs.kms.DescribeKey,
                        awacs.kms.Encrypt,
                        awacs.kms.GenerateDataKey,
                    ],
                    Resource=["*"],
                    Condition=Condition(
                        ArnLike("kms:EncryptionContext:aws:logs:arn", log_groups)
                    ),
                ),
            ],
        ),
    )


def _lifecycle() -> str:
    """Return the rules that bound what is kept, and paid for."""
    expire = {"type": "expire"}
    untagged = {
        "tagStatus": "untagged",
        "countType": "sinceImagePushed",
        "countUnit": "days",
        "countNumber": UNTAGGED_DAYS,
    }
    newest = {
        "tagStatus": "any",
        "countType": "imageCountMoreThan",
        "countNumber": KEPT_IMAGES,
    }
    rules = [
        {"rulePriority": 1, "selection": untagged, "action": expire},
        {"rulePriority": 2, "selection": newest, "action": expire},
    ]
    return json.dumps({"rules": rules})


def _statements(
    repository: ecr.Repository, log: logs.LogGroup, bucket: AWSHelperFn
) -> list[Statement]:
    return [
        Statement(
            Sid="Log",
            Effect=Allow,
            Action=[awacs.logs.CreateLogStream, awacs.logs.PutLogEvents],
            Resource=[GetAtt(log, "Arn")],
        ),
        Statement(
            Sid="Source",
            Effect=Allow,
            Action=[awacs.s3.GetObject, awacs.s3.GetObjectVersion],
            Resource=[
                Sub(
                    f"arn:${{AWS::Partition}}:s3:::${{Bucket}}/{SOURCES}/*",
                    Bucket=bucket,
                )
            ],
        ),
        Statement(
            Sid="SourceBucket",
            Effect=Allow,
            Action=[awacs.s3.GetBucketAcl, awacs.s3.GetBucketLocation],
            Resource=[Sub("arn:${AWS::Partition}:s3:::${Bucket}", Bucket=bucket)],
        ),
        Statement(
            Sid="Login",
            Effect=Allow,
            Action=[awacs.ecr.GetAuthorizationToken],
            # ECR has no resource to check it against.
            Resource=["*"],
        ),
        Statement(
            Sid="Push",
            Effect=Allow,
            Action=[
                awacs.ecr.BatchCheckLayerAvailability,
                awacs.ecr.BatchGetImage,
                awacs.ecr.CompleteLayerUpload,
                awacs.ecr.GetDownloadUrlForLayer,
                awacs.ecr.InitiateLayerUpload,
                awacs.ecr.PutImage,
                awacs.ecr.UploadLayerPart,
            ],
            Resource=[GetAtt(repository, "Arn")],
        ),
    ]


def _base(inputs: Inputs) -> Statement:
    """Let the build pull its base; the first pull through a cache fills it."""
    return Statement(
        Sid="Base",
        Effect=Allow,
        Action=[
            awacs.ecr.BatchCheckLayerAvailability,
            awacs.ecr.BatchGetImage,
            awacs.ecr.BatchImportUpstreamImage,
            awacs.ecr.CreateRepository,
            awacs.ecr.GetDownloadUrlForLayer,
        ],
        Resource=[
            Sub(
                "arn:${AWS::Partition}:ecr:${AWS::Region}:${AWS::AccountId}:repository/"
                "${Name}",
                Name=inputs.base_repository,
            )
        ],
    )


def _index(inputs: Inputs) -> Statement:
    return Statement(
        Sid="PackageIndex",
        Effect=Allow,
        Action=[awacs.secretsmanager.GetSecretValue],
        Resource=[inputs.index_secret_arn],
    )


def _index_key(inputs: Inputs) -> Statement:
    """Let Secrets Manager decrypt the secret, whatever key of the account it has."""
    service = Sub("secretsmanager.${AWS::Region}.${AWS::URLSuffix}")
    return Statement(
        Sid="PackageIndexKey",
        Effect=Allow,
        Action=[awacs.kms.Decrypt],
        Resource=[
            Sub("arn:${AWS::Partition}:kms:${AWS::Region}:${AWS::AccountId}:key/*")
        ],
        Condition=Condition(
            StringEquals(
                {
                    "kms:ViaService": service,
                    "kms:EncryptionContext:SecretARN": inputs.index_secret_arn,
                }
            )
        ),
    )
