"""Controls 73 to 84: the door of production, and the firewall before it."""

from __future__ import annotations

import pytest

from tests.compliance.environments import Estate, Estates

BALANCER = "ElasticLoadBalancingV2::LoadBalancer"
LISTENER = "ElasticLoadBalancingV2::Listener"
TARGETS = "ElasticLoadBalancingV2::TargetGroup"


def attributes(estate: Estate) -> dict[str, str]:
    """Return the attributes of the load balancer."""
    given = estate.one(BALANCER)["LoadBalancerAttributes"]
    return {each["Key"]: each["Value"] for each in given}


@pytest.mark.control(73)
def test_the_door_is_private_unless_somebody_chooses_otherwise(
    estates: Estates,
) -> None:
    parent = estates.library["parent.template.json"]
    assert parent["Parameters"]["LoadBalancerScheme"]["Default"] == "internal"
    assert estates.usual.one(BALANCER)["Scheme"] == "internal"


@pytest.mark.control(74, 75)
def test_requests_and_failed_handshakes_are_recorded(estates: Estates) -> None:
    for estate in estates.each:
        told = attributes(estate)
        for log in ("access_logs", "connection_logs"):
            assert told[f"{log}.s3.enabled"] == "true"
            assert told[f"{log}.s3.bucket"].strip("<>") in estate.of("S3::Bucket")


@pytest.mark.control(76, 78)
def test_what_is_not_http_is_refused(estates: Estates) -> None:
    for estate in estates.each:
        told = attributes(estate)
        assert told["routing.http.drop_invalid_header_fields.enabled"] == "true"
        mode = told["routing.http.desync_mitigation_mode"]
        assert mode in ("defensive", "strictest")


@pytest.mark.control(77)
def test_nobody_deletes_the_door_by_mistake(estates: Estates) -> None:
    assert attributes(estates.usual)["deletion_protection.enabled"] == "true"


@pytest.mark.control(79)
def test_the_door_speaks_no_old_tls(estates: Estates) -> None:
    for estate in estates.each:
        secure = [
            listener
            for listener in estate.of(LISTENER).values()
            if listener["Protocol"] == "HTTPS"
        ]
        assert secure
        for listener in secure:
            assert listener["SslPolicy"].startswith("ELBSecurityPolicy-TLS13-1-")
            assert "-1-0" not in listener["SslPolicy"]
            assert "-1-1-" not in listener["SslPolicy"]


@pytest.mark.control(80)
def test_a_firewall_stands_before_a_page_on_the_internet(estates: Estates) -> None:
    estate = estates.facing_the_internet
    ((balancer, _),) = estate.of(BALANCER).items()
    ((firewall, _),) = estate.of("WAFv2::WebACL").items()
    association = estate.one("WAFv2::WebACLAssociation")
    assert association["ResourceArn"] == f"<{balancer}>"
    assert association["WebACLArn"] == f"<{firewall}.Arn>"


@pytest.mark.control(81)
def test_the_firewalls_log_holds_no_token(estates: Estates) -> None:
    estate = estates.facing_the_internet
    ((firewall, _),) = estate.of("WAFv2::WebACL").items()
    logging = estate.one("WAFv2::LoggingConfiguration")
    assert logging["ResourceArn"] == f"<{firewall}.Arn>"
    redacted = {
        field["SingleHeader"]["Name"].lower() for field in logging["RedactedFields"]
    }
    assert {"authorization", "cookie"} <= redacted


@pytest.mark.control(82)
def test_no_password_crosses_in_clear(estates: Estates) -> None:
    for estate in estates.each:
        listeners = estate.of(LISTENER)
        assert any(each["Protocol"] == "HTTPS" for each in listeners.values())
        for place, listener in listeners.items():
            if listener["Protocol"] == "HTTPS":
                assert listener["Certificates"], place
                continue
            (action,) = listener["DefaultActions"]
            assert action["Type"] == "redirect", place
            assert action["RedirectConfig"]["Protocol"] == "HTTPS", place
            assert action["RedirectConfig"]["StatusCode"] == "HTTP_301", place
        rules = estate.of("ElasticLoadBalancingV2::ListenerRule")
        for place, rule in rules.items():
            listener = listeners[rule["ListenerArn"].strip("<>")]
            assert listener["Protocol"] == "HTTPS", place


@pytest.mark.control(83)
def test_every_target_is_asked_a_page_of_its_own(estates: Estates) -> None:
    for place, group in estates.facing_the_internet.of(TARGETS).items():
        assert len(group["HealthCheckPath"]) > 1, place
        assert group["HealthCheckPath"].startswith("/"), place


@pytest.mark.control(84)
def test_what_crosses_to_a_task_in_clear_passes_two_groups_that_name_each_other(
    estates: Estates,
) -> None:
    # Decision 7: no TLS here, so nothing but the load balancer may be at the other end.
    estate = estates.facing_the_internet
    (door,) = estate.one(BALANCER)["SecurityGroups"]
    inward = estate.of("EC2::SecurityGroupIngress").values()
    outward = estate.of("EC2::SecurityGroupEgress").values()
    behind = 0
    for service in estate.of("ECS::Service").values():
        for target in service.get("LoadBalancers", []):
            behind += 1
            network = service["NetworkConfiguration"]["AwsvpcConfiguration"]
            (group,) = network["SecurityGroups"]
            port = target["ContainerPort"]
            opened = [
                rule
                for rule in inward
                if rule["GroupId"] == group and rule["FromPort"] == port
            ]
            assert any(rule["SourceSecurityGroupId"] == door for rule in opened)
            assert not any("CidrIp" in rule for rule in opened)
            assert any(
                rule["GroupId"] == door
                and rule.get("DestinationSecurityGroupId") == group
                and rule["FromPort"] == rule["ToPort"] == port
                for rule in outward
            )
    assert behind == 2
