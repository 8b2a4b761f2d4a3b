"""Stacks, services, targets, scaling and secrets of the components."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from acceptance import value_from
from acceptance.aws.environment import COMPLETE, AwsEnvironment
from acceptance.aws.promises import Promise, kept
from acceptance.check import CheckFailed, Pending, Skipped, until
from compiler.iam_scopes import STACK_NAME_TAG
from deploy import ecs
from templates.airflow.components import COMPONENTS
from templates.airflow.environment import secrets_of

HEALTHY = "HEALTHY"

STEADY_SECONDS = 300.0
"""For a worker that starts, or ends what it runs."""

STEPS = "StepScaling"


def stacks(environment: AwsEnvironment) -> str:
    """See every nested stack complete."""
    nested = [resource for resource in environment.resources if resource.is_stack]
    wrong = [
        f"{resource.name} is {resource.status}"
        for resource in environment.resources
        if resource.status not in COMPLETE
    ]
    if wrong:
        raise CheckFailed(f"{'; '.join(wrong)}.", "Run build.py diagnose ENV.")
    return (
        f"{environment.stack.name} and {len(nested)} nested stacks, "
        f"{len(environment.resources) - len(nested)} resources, all complete"
    )


def services(environment: AwsEnvironment) -> str:
    """See every service run its desired count of healthy tasks, of one deployment.

    A pool may be growing or shrinking, so the check waits for it.
    """

    def look() -> str | Pending:
        counts, wrong = _service_states(environment)
        if wrong:
            return Pending("; ".join(wrong))
        return f"running and healthy: {', '.join(sorted(counts))}"

    return until(
        "every service to be steady",
        look,
        seconds=STEADY_SECONDS,
        remedy="Run build.py status ENV, then read the log.",
        pause=2.0,
    )


def _service_states(environment: AwsEnvironment) -> tuple[list[str], list[str]]:
    """Return the count of each service, and what is wrong."""
    paths = {
        resource.physical_id.rpartition("/")[2]: resource.name
        for resource in environment.of_type("AWS::ECS::Service")
    }
    running = environment.services()
    gone = paths.keys() - {service["serviceName"] for service in running}
    wrong = [f"{paths[name]} is gone" for name in gone]
    counts: list[str] = []
    for service in running:
        name = paths[service["serviceName"]]
        tasks = _tasks(environment, service)
        healthy = sum(task["healthStatus"] == HEALTHY for task in tasks)
        desired = service["desiredCount"]
        if not desired == service["runningCount"] == healthy == len(tasks):
            wrong.append(
                f"{name}: {desired} desired, {service['runningCount']} running, "
                f"{service['pendingCount']} pending, {healthy} healthy"
            )
        for deployment in service["deployments"]:
            rollout = deployment.get("rolloutState")
            if rollout != "COMPLETED":
                wrong.append(
                    f"{name}: a deployment is {rollout}: "
                    f"{deployment.get('rolloutStateReason', '')}"
                )
        counts.append(f"{desired} {name}")
    return counts, wrong


def targets(environment: AwsEnvironment) -> str:
    """See every target of the load balancer healthy."""
    counts: list[str] = []
    wrong: list[str] = []
    for resource in environment.of_type("AWS::ElasticLoadBalancingV2::TargetGroup"):
        answer = environment.aws.call(
            "elbv2",
            "describe_target_health",
            resource.name,
            TargetGroupArn=resource.physical_id,
        )
        states = [
            target["TargetHealth"] for target in answer["TargetHealthDescriptions"]
        ]
        wrong += [
            f"{resource.logical_id}: {state['State']} {state.get('Description', '')}"
            for state in states
            if state["State"] not in {"healthy", "draining"}
        ]
        if not states:
            wrong.append(f"{resource.logical_id} has no target")
        counts.append(f"{len(states)} {resource.logical_id}")
    if environment.is_local and not any(not count.startswith("0") for count in counts):
        raise Skipped("the emulator knows no targets; the local load balancer does")
    if wrong:
        raise CheckFailed(
            f"{'; '.join(wrong)}.", environment.logs("api-server", "flower")
        )
    return f"healthy: {', '.join(counts)}"


def scaling(environment: AwsEnvironment) -> str:
    """See Application Auto Scaling hold the bounds and the policies of the stack."""
    if environment.is_local:
        raise Skipped("scalable targets are stubs in the emulator")
    targets = {
        target["ResourceId"]: target
        for page in environment.aws.pages(
            "application-autoscaling",
            "describe_scalable_targets",
            "the services",
            ServiceNamespace="ecs",
        )
        for target in page["ScalableTargets"]
    }
    policies = {
        policy["PolicyARN"]: policy
        for page in environment.aws.pages(
            "application-autoscaling",
            "describe_scaling_policies",
            "the services",
            ServiceNamespace="ecs",
        )
        for policy in page["ScalingPolicies"]
    }
    promises = [*_bounds(environment, targets)]
    for resource in environment.of_type("AWS::ApplicationAutoScaling::ScalingPolicy"):
        policy = policies.get(resource.physical_id)
        promises.append(Promise.on(resource.name, "exists", policy is not None))
        # The alarms of step policies are resources of the stack.
        if policy and policy["PolicyType"] != STEPS:
            has_alarms = bool(policy.get("Alarms"))
            promises.append(Promise.on(resource.name, "alarms", has_alarms))
    return kept(environment, promises, remedy="Compare with build.py plan ENV.")


def _bounds(
    environment: AwsEnvironment, targets: dict[str, dict[str, Any]]
) -> Iterator[Promise]:
    for resource in environment.of_type("AWS::ApplicationAutoScaling::ScalableTarget"):
        # Settings of a pool need not be parameters of the parent.
        parameters = environment.parameters_of(resource.path[-1])
        target = targets.get(resource.physical_id.partition("|")[0], {})
        for bound in ("Minimum", "Maximum"):
            capacity = f"{bound[:3]}Capacity"
            promised = int(parameters.get(f"Pool{bound}") or parameters[bound])
            yield Promise(resource.name, capacity, target.get(capacity), promised)
        suspended = any(target.get("SuspendedState", {}).values())
        yield Promise(resource.name, "suspended", suspended, promised=False)


def secrets(environment: AwsEnvironment) -> str:
    """Compare the secrets of each container definition with the component table."""
    components = {component.name: component for component in COMPONENTS}
    arns: dict[str, set[str]] = {}
    wrong: list[str] = []
    containers = secrets = 0
    for definition in environment.definitions().values():
        for container in definition["containerDefinitions"]:
            name, containers = container["name"], containers + 1
            if name not in components:
                wrong.append(f"{name} is no component")
                continue
            rows = {row.name: row for row in secrets_of(components[name])}
            held = {s["name"]: s["valueFrom"] for s in container.get("secrets", ())}
            secrets += len(held)
            wrong += [f"{name} holds {key}" for key in held.keys() - rows.keys()]
            wrong += [
                f"{name} lacks {key}"
                for key in rows.keys() - held.keys()
                if not rows[key].is_optional
            ]
            for key in rows.keys() & held.keys():
                arn, rest = value_from.parts(held[key])
                if rest != rows[key].key:
                    wrong.append(f"{name}: {key} reads the key {rest!r}")
                label = f"{rows[key].secret.name}{' previous' * rows[key].is_optional}"
                arns.setdefault(label, set()).add(arn)
    wrong += [
        f"{label} has {len(known)} ARNs"
        for label, known in arns.items()
        if len(known) > 1
    ]
    if wrong:
        raise CheckFailed(
            f"{'; '.join(sorted(wrong))}.",
            "The table is templates/airflow/components.py.",
        )
    return f"{secrets} secrets in {containers} containers, exactly the table's"


def _tasks(environment: AwsEnvironment, service: dict[str, Any]) -> list[Any]:
    """Return the running tasks of a service."""
    cluster = environment.outputs["ClusterName"]
    return list(ecs.running_tasks(environment.aws, cluster, service["serviceName"]))


NAMED = frozenset(
    {
        *("AWS::S3::Bucket", "AWS::RDS::DBCluster", "AWS::RDS::DBInstance"),
        *("AWS::RDS::DBClusterParameterGroup", "AWS::RDS::DBSubnetGroup"),
        *("AWS::ECS::Cluster", "AWS::ECS::Service", "AWS::ECS::TaskDefinition"),
        *("AWS::IAM::Role", "AWS::IAM::ManagedPolicy", "AWS::Lambda::Function"),
    }
)
"""Types whose generated name begins with the stack's; the launch role relies on it
(``templates/resources/launch_scopes.py``)."""


def names(environment: AwsEnvironment) -> str:
    """See generated names begin with the stack's, and secrets carry its tag."""
    prefix = environment.stack.name.lower()
    named = [r for r in environment.resources if r.type in NAMED]
    wrong = [
        f"{resource.name} is {resource.physical_id}"
        for resource in named
        if not _own_name(resource.physical_id).startswith(prefix)
    ]
    secrets = environment.of_type("AWS::SecretsManager::Secret")
    for resource in secrets:
        arn = resource.physical_id
        secret = environment.aws.call(
            "secretsmanager", "describe_secret", arn, SecretId=arn
        )
        tags = {tag["Key"]: tag["Value"] for tag in secret.get("Tags", ())}
        if not tags.get(STACK_NAME_TAG, "").lower().startswith(prefix):
            wrong.append(f"{resource.name} has no tag of the stack")
    if wrong:
        raise CheckFailed(
            f"{'; '.join(wrong)}.",
            "The launch role may not reach them: templates/resources/launch_scopes.py.",
        )
    return f"{len(named)} names and the tags of {len(secrets)} secrets are the stack's"


def _own_name(physical_id: str) -> str:
    """Return the name in an ARN, or a name as it is, in lower case."""
    if not physical_id.startswith("arn:"):
        return physical_id.lower()
    resource = physical_id.split(":", 5)[5]
    return resource.rpartition("/")[2].lower()


def images(environment: AwsEnvironment) -> str:
    """See every container of the stack's definitions run the image of the parameter."""
    image = environment.stack.parameters["Image"]
    promises = [
        Promise(container["name"], "image", container["image"], image)
        for definition in environment.definitions().values()
        for container in definition["containerDefinitions"]
    ]
    digests = {
        container.get("imageDigest")
        for service in environment.services()
        for task in _tasks(environment, service)
        for container in task.get("containers", ())
        # The proxy of Service Connect is a container too.
        if container.get("image") == image
    } - {None}
    text = kept(environment, promises, remedy="Launch again: build.py launch ENV.")
    # The local ECS agent runs no image and knows no digest.
    known = f"; {len(digests)} digests run" if digests else ""
    return f"{image}: {text}{known}"
