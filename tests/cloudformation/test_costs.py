"""What a stack costs: quantities from the templates, prices from the table."""

from __future__ import annotations

from typing import Any

import pytest

from cloudformation import costs
from cloudformation.costs import CostLine
from cloudformation.evaluation import NO_VALUE

EAST, CENTRAL = costs.REGIONS
STACK = "AWS::CloudFormation::Stack"


def resource(kind: str, **properties: Any) -> dict[str, Any]:
    return {"Type": f"AWS::{kind}", "Properties": properties}


def definition(cpu: int, memory: int, kind: str) -> dict[str, Any]:
    return resource(
        "ECS::TaskDefinition",
        Cpu=str(cpu),
        Memory=str(memory),
        RuntimePlatform={"CpuArchitecture": kind},
    )


def service(name: str, **properties: Any) -> dict[str, Any]:
    return resource("ECS::Service", TaskDefinition={"Ref": name}, **properties)


def lines(root: dict[str, Any], **nested: dict[str, Any]) -> list[CostLine]:
    templates = {"root": {"Resources": root}} | {
        name: {"Resources": resources} for name, resources in nested.items()
    }
    return costs.lines(costs.tree(templates, "root", {}, EAST))


def monthly(root: dict[str, Any], region: str = EAST) -> dict[str, float | None]:
    return {line.what: line.monthly(region, line.rest) for line in lines(root)}


@pytest.mark.parametrize(
    ("kind", "vcpu", "gib"),
    [("X86_64", 0.04048, 0.004445), ("ARM64", 0.03238, 0.00356)],
)
def test_tasks_cost_by_size_and_architecture(
    kind: str, vcpu: float, gib: float
) -> None:
    root = {
        "Definition": definition(512, 2048, kind),
        "Scheduler": service("Definition", DesiredCount=3),
    }
    (line,) = lines(root)
    assert line.what == "Scheduler: 3 to 3 tasks of 0.5 vCPU and 2 GB"
    assert line.monthly(EAST, line.rest) == pytest.approx(
        730 * 3 * (0.5 * vcpu + 2 * gib)
    )


def test_pool_that_sleeps_costs_nothing_at_rest() -> None:
    target = resource(
        "ApplicationAutoScaling::ScalableTarget",
        ResourceId={"Fn::Join": ["/", ["service", {"Ref": "Worker"}]]},
        MinCapacity=0,
        MaxCapacity=2,
    )
    pool = {
        "Definition": definition(1024, 4096, "X86_64"),
        "Worker": service("Definition"),
        "Target": target,
    }
    (line,) = lines(
        {"SpotWorkers": {"Type": STACK, "Properties": {"TemplateURL": "pool"}}},
        pool=pool,
    )
    assert (line.group, line.what.split(":")[0]) == (costs.WORKER_LINES, "SpotWorkers")
    assert line.monthly(EAST, line.rest) == 0
    assert costs.summed([line], EAST, at_most=True) == pytest.approx(
        730 * 2 * (0.04048 + 4 * 0.004445)
    )


def test_database_counts_each_instance_and_its_master_secret() -> None:
    scaling = {"MinCapacity": "0.5", "MaxCapacity": "4"}
    root = {
        "Cluster": resource(
            "RDS::DBCluster",
            ServerlessV2ScalingConfiguration=scaling,
            ManageMasterUserPassword=True,
        ),
        "Writer": resource("RDS::DBInstance"),
        "Reader": resource("RDS::DBInstance"),
    }
    amounts = monthly(root)
    assert amounts["2 of 0.5 to 4 capacity units"] == pytest.approx(730 * 0.12)
    assert amounts["1 x Secret"] == pytest.approx(0.4)


def test_endpoints_cost_by_zone_and_gateway_endpoints_nothing() -> None:
    root = {
        "S3": resource("EC2::VPCEndpoint", VpcEndpointType="Gateway"),
        "Logs": resource(
            "EC2::VPCEndpoint", VpcEndpointType="Interface", SubnetIds=["a", "b"]
        ),
    }
    assert monthly(root) == {"2 x Interface endpoint and zone": pytest.approx(14.6)}


@pytest.mark.parametrize(
    ("scheme", "addresses"), [("internal", 0), ("internet-facing", 2)]
)
def test_public_addresses_are_those_of_a_public_load_balancer(
    scheme: str, addresses: int
) -> None:
    kind = "ElasticLoadBalancingV2::LoadBalancer"
    amounts = monthly({"Web": resource(kind, Scheme=scheme, Subnets=["a", "b"])})
    assert amounts.get(f"{addresses} x Public IPv4 address", 0) == pytest.approx(
        addresses * 3.65
    )
    assert amounts["1 x Application load balancer"] == pytest.approx(16.425)


def test_alarms_cost_by_metric_and_resolution() -> None:
    queries = [
        {"Id": "sum", "Expression": "a+b"},
        *({"Id": name, "MetricStat": {"Period": 60}} for name in "ab"),
    ]
    root = {
        "Sum": resource("CloudWatch::Alarm", Metrics=queries),
        "Slow": resource("CloudWatch::Alarm", Period=300),
        "Fast": resource("CloudWatch::Alarm", Period=10),
    }
    assert monthly(root) == {
        "3 x Alarm metric": pytest.approx(0.3),
        "1 x Alarm metric, high resolution": pytest.approx(0.3),
    }


def test_what_has_no_price_is_named_and_not_taken_for_free() -> None:
    nodes = resource(
        "ElastiCache::ReplicationGroup",
        CacheNodeType="cache.t4g.small",
        NumCacheClusters="2",
    )
    assert monthly({"Nodes": nodes}) == {
        "2 nodes of cache.t4g.small": pytest.approx(37.376)
    }
    assert monthly({"Nodes": nodes}, CENTRAL) == {"2 nodes of cache.t4g.small": None}
    unknown = {**nodes, "Properties": {**nodes["Properties"], "CacheNodeType": "x"}}
    assert monthly({"Nodes": unknown}) == {"2 nodes of x": None}


def test_storage_without_a_value_is_the_standard_one() -> None:
    cluster = resource(
        "RDS::DBCluster",
        ServerlessV2ScalingConfiguration={"MinCapacity": 1, "MaxCapacity": 1},
        StorageType=NO_VALUE,
    )
    root = {"Cluster": cluster, "Writer": resource("RDS::DBInstance")}
    assert monthly(root)["1 of 1 to 1 capacity units"] == pytest.approx(87.6)
