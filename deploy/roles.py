"""The roles of an environment: their stack, and what a launch with one of them needs.

Their template is compiled for one stack name, so it is no part of ``dist/``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from cli import console
from cli.errors import AwsError, ExitCode, Failure, Problem, UsageError
from deploy import prompts, stacks
from deploy.aws import Aws, is_missing
from deploy.console import print_outputs, print_plan
from deploy.dist import BOUNDARY, ROLE, Dist, Environment
from deploy.events import StackWatcher, known_events
from deploy.launch import QUIET_ENDS, execute, follow
from deploy.planning import proposed
from deploy.publishing import publish

BOUNDARY_TAG = "airflow:boundary"
"""The tag of a service role that names the boundary which it demands."""


@dataclass(frozen=True, kw_only=True)
class RoleStack:
    """A stack of roles beside that of an environment."""

    suffix: str
    """Of its name, behind that of the environment's stack."""
    command: str
    """The command that deploys it."""
    following: str
    """The command to run next, with outputs as ``{Name}``."""

    def name(self, environment: Environment) -> str:
        """Return the name of the stack."""
        return f"{environment.stack_name}-{self.suffix}"

    def file(self, environment: str) -> str:
        """Return the name of a file for the template, without an extension."""
        return f"{self.suffix}-{environment}"


ENVIRONMENT_ROLES = RoleStack(
    suffix="role",
    command="build.py role ENV --deploy",
    following="build.py launch ENV --role-arn {ServiceRoleArn}",
)


def deploy(
    aws: Aws,
    roles: RoleStack,
    template: str,
    environment: Environment,
    *,
    bucket: str | None,
    parameters: Mapping[str, str],
    yes: bool,
) -> ExitCode:
    """Create or update a stack of roles."""
    dist = Dist(Path("role"), {ROLE: template.encode()}, root=ROLE)
    publication = publish(aws, dist, bucket).publication
    stack = Environment(
        environment.name,
        roles.name(environment),
        parameters,
        environment.tags,
        is_protected=False,
    )
    with proposed(aws, dist, publication, stack, is_nested=False) as plan:
        print_plan(plan, dist)
        if not plan.is_empty:
            verb = "Create" if plan.is_new else "Update"
            where = f"Stack {plan.stack_name}"
            prompts.confirm(f"{verb} stack {plan.stack_name}?", where=where, yes=yes)
            known = known_events(aws, plan.stack_id)
            execute(aws, plan)
    if not plan.is_empty:
        watcher = StackWatcher(aws, plan.stack_id, known)
        exit_code = follow(aws, dist, stack, watcher, quiet=QUIET_ENDS)
        if exit_code is not ExitCode.OK:
            return exit_code
    deployed = stacks.existing(aws, stack.stack_name)
    console.record(
        Stack=deployed.name, Status=deployed.status, Outputs=deployed.outputs
    )
    print_outputs(aws, deployed.outputs, deployed.descriptions)
    console.message(f"\nNext: {roles.following.format_map(deployed.outputs)}")
    return ExitCode.UNCHANGED if plan.is_empty else ExitCode.OK


def instructions(
    file: str,
    roles: RoleStack,
    environment: Environment,
    parameters: Mapping[str, str],
) -> str:
    """Return how to deploy the template with the AWS command line."""
    values = [f"{name}={value}" for name, value in parameters.items() if value]
    lines = [
        "aws cloudformation deploy",
        f"--stack-name {roles.name(environment)}",
        f"--template-file {file}",
        "--s3-bucket BUCKET",
        "--capabilities CAPABILITY_IAM",
        f"--parameter-overrides {' '.join(values)}",
    ]
    command = " \\\n    ".join(lines)
    following = roles.following.replace("{", "<").replace("}", ">")
    return (
        "\nDeploy it as an administrator, with any bucket of the account and region:\n"
        f"  {command}\n"
        f"or, with the default bucket: {roles.command}\n"
        "\nThen, with the outputs of the stack:\n"
        f"  {following}"
    )


def with_role(aws: Aws, environment: Environment, role_arn: str) -> Environment:
    """Return the environment as a service role launches it: with its boundary.

    Without a role, the one that the stack was launched with counts: CloudFormation
    uses it again. A boundary in the parameter file is left as it is.
    """
    if not role_arn:
        stack = stacks.find(aws, environment.stack_name)
        role_arn = stack.role_arn if stack else ""
    environment = replace(environment, role_arn=role_arn)
    if environment.parameters.get(BOUNDARY):
        return environment
    boundary = _demanded_boundary(aws, role_arn) if role_arn else ""
    if not boundary:
        return environment
    console.note(f"{BOUNDARY} is {boundary}, as the service role demands.")
    parameters = {**environment.parameters, BOUNDARY: boundary}
    return replace(environment, parameters=parameters)


def _demanded_boundary(aws: Aws, role_arn: str) -> str:
    name = role_arn.rpartition("/")[2]
    try:
        role = aws.call("iam", "get_role", role_arn, RoleName=name)["Role"]
    except AwsError as error:
        if not is_missing(error):
            raise
        raise UsageError(
            Problem(
                where=f"--role-arn {role_arn}",
                what="There is no such role.",
                remedy="Create it with `build.py role ENV --deploy`, or correct it.",
            )
        ) from error
    except Failure:
        console.note(f"Not read: whether {role_arn} demands a permissions boundary.")
        return ""
    tags = {tag["Key"]: tag["Value"] for tag in role.get("Tags", ())}
    return str(tags.get(BOUNDARY_TAG, ""))
