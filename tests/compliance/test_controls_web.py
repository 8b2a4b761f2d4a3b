"""Controls 73 to 84: the load balancer and the web firewall."""

from __future__ import annotations

import pytest

from tests.compliance.environments import Environments, ResolvedEnvironment

BALANCER = "ElasticLoadBalancingV2::LoadBalancer"
LISTENER = "ElasticLoadBalancingV2::Listener"
TARGETS = "ElasticLoadBalancingV2::TargetGroup"


def attributes(environment: ResolvedEnvironment) -> dict[str, str]:
    """Return the attributes of the load balancer."""
    pairs = environment.single(BALANCER)["LoadBalancerAttributes"]
    return {each["Key"]: each["Value"] for each in pairs}


@pytest.mark.control(73)
def test_load_balancer_is_internal_by_default(environments: Environments) -> None:
    parent = environments.library["parent.template.json"]
    assert parent["Parameters"]["LoadBalancerScheme"]["Default"] == "internal"
    assert environments.base.single(BALANCER)["Scheme"] == "internal"


@pytest.mark.control(74, 75)
def test_load_balancer_logs_are_on(environments: Environments) -> None:
    for environment in environments.variants:
        values = attributes(environment)
        for log in ("access_logs", "connection_logs"):
            assert values[f"{log}.s3.enabled"] == "true"
            assert values[f"{log}.s3.bucket"].strip("<>") in environment.properties(
                "S3::Bucket"
            )


@pytest.mark.control(76, 78)
def test_malformed_requests_are_dropped(environments: Environments) -> None:
    for environment in environments.variants:
        values = attributes(environment)
        assert values["routing.http.drop_invalid_header_fields.enabled"] == "true"
        mode = values["routing.http.desync_mitigation_mode"]
        assert mode in ("defensive", "strictest")


@pytest.mark.control(77)
def test_load_balancer_has_deletion_protection(environments: Environments) -> None:
    assert attributes(environments.base)["deletion_protection.enabled"] == "true"


@pytest.mark.control(79)
def test_load_balancer_accepts_no_tls_below_1_2(environments: Environments) -> None:
    for environment in environments.variants:
        secure = [
            listener
            for listener in environment.properties(LISTENER).values()
            if listener["Protocol"] == "HTTPS"
        ]
        assert secure
        for listener in secure:
            assert listener["SslPolicy"].startswith("ELBSecurityPolicy-TLS13-1-")
            assert "-1-0" not in listener["SslPolicy"]
            assert "-1-1-" not in listener["SslPolicy"]


@pytest.mark.control(80)
def test_public_load_balancer_has_a_web_firewall(environments: Environments) -> None:
    environment = environments.internet_facing
    ((balancer, _),) = environment.properties(BALANCER).items()
    ((firewall, _),) = environment.properties("WAFv2::WebACL").items()
    association = environment.single("WAFv2::WebACLAssociation")
    assert association["ResourceArn"] == f"<{balancer}>"
    assert association["WebACLArn"] == f"<{firewall}.Arn>"


@pytest.mark.control(81)
def test_web_firewall_log_holds_no_token(environments: Environments) -> None:
    environment = environments.internet_facing
    ((firewall, _),) = environment.properties("WAFv2::WebACL").items()
    logging = environment.single("WAFv2::LoggingConfiguration")
    assert logging["ResourceArn"] == f"<{firewall}.Arn>"
    redacted = {
        field["SingleHeader"]["Name"].lower() for field in logging["RedactedFields"]
    }
    assert {"authorization", "cookie"} <= redacted


@pytest.mark.control(82)
def test_http_is_redirected_to_https(environments: Environments) -> None:
    for environment in environments.variants:
        listeners = environment.properties(LISTENER)
        assert any(each["Protocol"] == "HTTPS" for each in listeners.values())
        for place, listener in listeners.items():
            if listener["Protocol"] == "HTTPS":
                assert listener["Port"] == 443, place
                assert listener["Certificates"], place
                continue
            assert listener["Port"] == 80, place
            (action,) = listener["DefaultActions"]
            assert action["Type"] == "redirect", place
            assert action["RedirectConfig"] == {
                "Protocol": "HTTPS",
                "Port": "443",
                "StatusCode": "HTTP_301",
            }, place
        rules = environment.properties("ElasticLoadBalancingV2::ListenerRule")
        for place, rule in rules.items():
            listener = listeners[rule["ListenerArn"].strip("<>")]
            assert listener["Protocol"] == "HTTPS", place


@pytest.mark.control(83)
def test_target_groups_state_a_health_check_path(environments: Environments) -> None:
    for place, group in environments.internet_facing.properties(TARGETS).items():
        assert len(group["HealthCheckPath"]) > 1, place
        assert group["HealthCheckPath"].startswith("/"), place


@pytest.mark.control(84)
def test_plaintext_from_alb_to_tasks_is_restricted_by_security_groups(
    environments: Environments,
) -> None:
    # Decision 7: no TLS here, so only the load balancer may connect.
    environment = environments.internet_facing
    (alb_group,) = environment.single(BALANCER)["SecurityGroups"]
    ingress = environment.rules("Ingress").values()
    egress = environment.rules("Egress").values()
    count = 0
    for service in environment.properties("ECS::Service").values():
        for target in service.get("LoadBalancers", []):
            count += 1
            network = service["NetworkConfiguration"]["AwsvpcConfiguration"]
            (group,) = network["SecurityGroups"]
            port = target["ContainerPort"]
            port_rules = [
                rule
                for rule in ingress
                if rule["GroupId"] == group and rule["FromPort"] == port
            ]
            assert any(
                rule["SourceSecurityGroupId"] == alb_group for rule in port_rules
            )
            assert not any("CidrIp" in rule for rule in port_rules)
            assert any(
                rule["GroupId"] == alb_group
                and rule.get("DestinationSecurityGroupId") == group
                and rule["FromPort"] == rule["ToPort"] == port
                for rule in egress
            )
    assert count == 2
