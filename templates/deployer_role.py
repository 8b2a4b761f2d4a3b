"""A role that releases the DAGs of one bundle, and can do nothing else.

The template is compiled for one stack and one bundle, by ``build.py dags role``. Bucket
and key are outputs of the stack, so the policy names them exactly. The role deletes
nothing: an archive that a run may still need stays.
"""

from __future__ import annotations

import awacs.cloudformation
import awacs.kms
import awacs.s3
from awacs.aws import Allow, Condition, Statement, StringEquals, StringLike
from troposphere import GetAtt, If, Ref, Sub, iam

from compiler.wiring import Define, Interface, Template, about
from fargate_runtime import contract
from templates.resources.callers import Callers, trusted
from templates.resources.launch_role import PATH, policy_document
from templates.types import BucketName, KeyArn, RoleArn


class Inputs(Callers):
    """Who may assume the role, and what it writes to."""

    release_bucket_name: BucketName = about(
        "Output ReleaseBucketName of the environment's stack.",
        group="Environment",
        label="Release bucket",
    )
    key_arn: KeyArn = about(
        "Output KeyArn of the environment's stack.", group="Environment", label="Key"
    )


class Outputs(Interface):
    """What a pipeline needs."""

    deployer_role_arn: RoleArn = about("Role that a pipeline assumes.")


def define_for(stack_name: str, bundle: str) -> Define[Inputs, Outputs]:
    """Return the role that releases the DAGs of a bundle of a stack."""

    def define(t: Template, inputs: Inputs) -> Outputs:
        trust = trusted(t, inputs)
        bucket = Sub(
            "arn:${AWS::Partition}:s3:::${Bucket}", Bucket=inputs.release_bucket_name
        )

        def objects(name: str) -> Sub:
            return Sub(
                f"arn:${{AWS::Partition}}:s3:::${{Bucket}}/{bundle}/{name}",
                Bucket=inputs.release_bucket_name,
            )

        policy = t.add(
            iam.ManagedPolicy(
                "DeployerPolicy",
                Condition=trust.condition,
                Path=PATH,
                PolicyDocument=policy_document(
                    Statement(
                        Effect=Allow,
                        Action=[awacs.cloudformation.DescribeStacks],
                        Resource=[
                            Sub(
                                "arn:${AWS::Partition}:cloudformation:${AWS::Region}:"
                                f"${{AWS::AccountId}}:stack/{stack_name}/*"
                            )
                        ],
                    ),
                    Statement(
                        Effect=Allow,
                        Action=[awacs.s3.ListBucket],
                        Resource=[bucket],
                        Condition=Condition(StringLike("s3:prefix", f"{bundle}/*")),
                    ),
                    Statement(
                        Effect=Allow,
                        Action=[awacs.s3.GetObject, awacs.s3.PutObject],
                        Resource=[
                            objects(contract.RELEASE_POINTER),
                            objects(f"{contract.RELEASE_ARCHIVES}/*"),
                        ],
                    ),
                    Statement(
                        Effect=Allow,
                        Action=[awacs.kms.Decrypt, awacs.kms.GenerateDataKey],
                        Resource=[inputs.key_arn],
                        Condition=Condition(
                            StringEquals(
                                "kms:ViaService",
                                Sub("s3.${AWS::Region}.${AWS::URLSuffix}"),
                            )
                        ),
                    ),
                ),
            ),
            "What build.py dags push, list, diff and rollback call.",
            why="Exactly the objects of one bundle.",
        )
        role = t.add(
            iam.Role(
                "DeployerRole",
                Condition=trust.condition,
                Path=PATH,
                Description=f"Releases DAGs to the bundle {bundle} of {stack_name}.",
                AssumeRolePolicyDocument={
                    "Version": "2012-10-17",
                    "Statement": trust.statements,
                },
                ManagedPolicyArns=[Ref(policy)],
            ),
            f"Role that releases the DAGs of the bundle {bundle}.",
        )
        return Outputs(
            deployer_role_arn=RoleArn(If(trust.condition, GetAtt(role, "Arn"), ""))
        )

    return define
