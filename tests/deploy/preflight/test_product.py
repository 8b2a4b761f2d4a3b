"""The preflight reads what it needs in the product's own templates."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from cli import product
from cloudformation.evaluation import Stack, references
from deploy.dist import Dist, Environment
from deploy.preflight import linked_roles, permissions, quotas
from deploy.preflight.context import LaunchContext
from deploy.preflight.run import preflight
from local.iam.policy import ApiCall, RolePermissions, statements
from tests.deploy.fakes import ACCOUNT, REGION
from tests.deploy.preflight.recorded import launch_context

pytestmark = pytest.mark.slow
"""They compile the product."""


@pytest.fixture(scope="module")
def prod() -> LaunchContext:
    files = {t.path: t.text().encode() for t in product.compile_templates()}
    files |= {asset.path: asset.content for asset in product.assets().values()}
    parameters = json.loads((product.ROOT / "parameters/prod.json").read_text())
    return LaunchContext(
        launch_context().aws,
        Dist(product.ROOT / "dist", files),
        Environment("prod", "airflow-prod", parameters["Parameters"]),
    )


def test_vcpus_of_production_are_the_sum_of_its_services(prod: LaunchContext) -> None:
    on_demand = quotas.cpu_need(prod, "FARGATE")
    # API servers and schedulers 2 x 1, DAG processor 0.5, triggerers 2 x 0.5, and two
    # workers of 2; twice as much in a deployment.
    assert (on_demand.launch, on_demand.update) == (9.5, 19)
    # Up to ten API servers and 25 workers.
    assert on_demand.peak == 2 * (10 + 2 + 0.5 + 1 + 25 * 2)
    spot = quotas.cpu_need(prod, "FARGATE_SPOT")
    assert (spot.launch, spot.peak) == (2, 100)


def test_service_linked_roles_are_those_of_the_used_services(
    prod: LaunchContext,
) -> None:
    assert linked_roles.required(prod) == [
        "backup.amazonaws.com",
        "delivery.logs.amazonaws.com",
        "ecs.amazonaws.com",
        "ecs.application-autoscaling.amazonaws.com",
        "elasticache.amazonaws.com",
        "elasticloadbalancing.amazonaws.com",
        "rds.amazonaws.com",
    ]


def test_permissions_are_for_the_names_of_the_stack(prod: LaunchContext) -> None:
    needed = permissions.required(prod)
    text = str(needed)
    assert "SC-" not in text
    assert "${" not in text
    assert f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/airflow-prod-" in text
    assert len({action for each in needed for action in each.actions}) > 300


def test_service_role_of_the_environment_has_every_permission(
    prod: LaunchContext,
) -> None:
    boundary = f"arn:aws:iam::{ACCOUNT}:policy/Boundary"
    parameters = {**prod.environment.parameters, "PermissionsBoundaryArn": boundary}
    environment = replace(
        prod.environment, parameters=parameters, role_arn=f"arn:aws:iam::{ACCOUNT}:x"
    )
    context = LaunchContext(prod.aws, prod.dist, environment)
    template = json.dumps(
        json.loads(product.deployment_role("airflow-prod", parameters).text())
    )
    roles = Stack(
        json.loads(template.replace('{"Ref": "RoleBoundary"}', f'"{boundary}"')),
        {"CallerArns": f"arn:aws:iam::{ACCOUNT}:role/Pipeline"},
        pseudo=context.root.pseudo,
    ).resources
    attached = references(roles["ServiceRole"].properties["ManagedPolicyArns"])
    role = RolePermissions(
        statements(roles[name].properties["PolicyDocument"] for name, _ in attached)
    )
    denied = [
        action
        for each in permissions.required(context)
        for action in each.actions
        if not any(
            role.allows(
                ApiCall(
                    action=action,
                    resource=resource,
                    context={key.lower(): value for key, _, value in each.context},
                )
            )
            for resource in each.resources
        )
    ]
    assert not denied


def test_every_question_but_the_unused_ones_has_an_answer(prod: LaunchContext) -> None:
    names = {answer.check.name for answer in preflight(prod).answers}
    assert len(names) > 20
    assert {"Certificate", "Backup of Aurora", "Elastic IPs", "Zones"} <= names
    assert not names & {
        "Existing VPC",
        "Database snapshot",
        "Fernet secret",
        "Hosted zone",
    }
