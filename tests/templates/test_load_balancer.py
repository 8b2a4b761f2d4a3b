"""The load balancer: one door, the right protocol, and no way to the tasks' own API."""

from __future__ import annotations

import re
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.wiring import Build
from templates import load_balancer
from templates.airflow.routes import ROUTES
from tests.resolver import Stack, deploy

CERTIFICATE = "arn:aws:acm:eu-central-1:123456789012:certificate/0"
DNS = "<LoadBalancer.DNSName>"
GIVEN = {
    "VpcId": "vpc-0123456789abcdef0",
    "SubnetIds": "subnet-1,subnet-2",
    "GroupId": "sg-1",
    "Scheme": "internal",
    "CertificateArn": "",
    "DomainName": "",
    "HostedZoneId": "",
    "AccessLogBucketName": "logs",
    "DeletionProtection": "true",
    "EnableFlower": "true",
}
DOCUMENT = Build().page(load_balancer.define).document

Semantics = Literal["search", "fullmatch"]


def deployed(**changes: str) -> Stack:
    return deploy(DOCUMENT, {}, {**GIVEN, **changes})


def attributes(listed: list[dict[str, Any]]) -> dict[str, str]:
    return {entry["Key"]: entry["Value"] for entry in listed}


def rules(stack: Stack) -> list[dict[str, Any]]:
    found = [
        one["Properties"]
        for one in stack.resources.values()
        if one["Type"] == "AWS::ElasticLoadBalancingV2::ListenerRule"
    ]
    return sorted(found, key=lambda rule: int(rule["Priority"]))


RULES = rules(deployed())


def answer(path: str, semantics: Semantics = "fullmatch") -> str:
    """What the load balancer does with a path: the target group, or "refused"."""
    for rule in RULES:
        (condition,) = rule["Conditions"]
        config = condition["PathPatternConfig"]
        wildcards = [
            re.escape(value).replace(r"\*", ".*").replace(r"\?", ".")
            for value in config.get("Values", [])
        ]
        expressions = config.get("RegexValues", [])
        if any(re.fullmatch(each, path) for each in wildcards) or any(
            getattr(re, semantics)(each, path) for each in expressions
        ):
            (action,) = rule["Actions"]
            return str(action.get("TargetGroupArn", "refused"))
    return "refused"


def reaches_the_tasks_api(request_target: str) -> bool:
    """Whether the API server takes a request target for ``/execution/``.

    As measured on uvicorn with either of its parsers and Starlette's routing, with
    and without a root path: whole URLs are taken apart, the path is decoded once, a
    second slash in front may be swallowed.
    """
    whole = request_target.startswith(("http://", "https://"))
    path = urlsplit(request_target).path if whole else request_target.partition("?")[0]
    return unquote(path).startswith(("/execution/", "//execution/"))


REFUSED = {
    "/execution": "the API itself",
    "/execution/": "its root",
    "/execution/health": "a page of it",
    "/execution/?x=1": "with a query",
    "/%65xecution/health": "a letter encoded",
    "/exec%75tion/health": "a letter in the middle encoded",
    "/%65%78%65%63%75%74%69%6f%6E/health": "all letters, hexadecimal in both cases",
    "/execution%2fhealth": "the slash after it encoded",
    "/execution%2Fhealth": "the same in capitals",
    "/%2fexecution/health": "the slash before it encoded",
    "%2fexecution/health": "no slash at all in front",
    "//execution/health": "two slashes",
    "///execution/health": "three slashes",
    "//%65xecution/health": "two slashes and a letter",
    "/./execution/health": "a dot segment",
    "/x/../execution/health": "back out of a directory",
    "/%2e/execution/health": "a dot segment encoded",
    "/x/%2E%2e/execution/health": "both dots encoded",
    "/x/..%2fexecution/health": "the slash behind the dots encoded",
    "/x/%2e%2e%2fexecution/health": "all of it",
    "/api/v2/../../execution/health": "out of a page that is allowed",
    "/..": "dots at the end",
    "http://host/execution/health": "a whole URL",
    "http://host/%65xecution/health": "a whole URL, encoded",
    "/flower/metrics": "the page of Flower without a password",
    "*": "not a path",
    "": "nothing",
}
LED_TO_AIRFLOW = (
    *("/", "/dags", "/dags/example/runs/x", "/auth/login/", "/auth/token"),
    *("/api/v2/version", "/ui/grid/runs/x", "/static/assets/index-B2.js"),
    # Names that operators may choose, where they may.
    *("/api/v2/dags/execution/dagRuns", "/dags/execution", "/executions"),
    "/api/v2/dags/a/dagRuns/manual__2026-01-01T00%3A00%3A00%2B00%3A00",
    *("/api/v2/variables/a%2Fb", "/api/v2/variables/%65xecution"),
    *("/.well-known/openid-configuration", "/pluginsv2/a/", "/dags/a..b", "/a/...b"),
)


@pytest.mark.parametrize("semantics", ["search", "fullmatch"])
@pytest.mark.parametrize("path", REFUSED)
def test_the_tasks_api_is_out_of_reach_however_it_is_spelt(
    path: str, semantics: Semantics
) -> None:
    # F4, and GET /%65xecution/health, which reached it past a plain pattern.
    assert answer(path, semantics) == "refused", REFUSED[path]


@pytest.mark.parametrize("semantics", ["search", "fullmatch"])
@pytest.mark.parametrize("path", LED_TO_AIRFLOW)
def test_pages_and_names_that_people_use_are_let_through(
    path: str, semantics: Semantics
) -> None:
    assert answer(path, semantics) == "<Api>"
    assert not reaches_the_tasks_api(path)


def encoded(character: str) -> st.SearchStrategy[str]:
    hexadecimal = f"%{ord(character):02x}"
    return st.sampled_from([character, character, hexadecimal, hexadecimal.upper()])


SPELLINGS = st.tuples(
    st.sampled_from(["", "http://host", "/", "/.", "/x/..", "%2f"]),
    *(encoded(character) for character in "/execution/health"),
    st.sampled_from(["", "?a=/b", "/../x", ";c=d", "%00"]),
).map("".join)


@settings(derandomize=True, database=None, max_examples=500, deadline=None)
@given(SPELLINGS, st.sampled_from(["search", "fullmatch"]))
def test_whatever_the_api_server_takes_for_the_tasks_api_is_refused(
    path: str, semantics: Semantics
) -> None:
    if reaches_the_tasks_api(path):
        assert answer(path, semantics) == "refused"


def test_the_model_of_the_api_server_knows_what_was_measured() -> None:
    # Else the test above could hold by generating nothing that matters.
    assert reaches_the_tasks_api("/%65xecution/health")
    assert reaches_the_tasks_api("//execution/health")
    assert reaches_the_tasks_api("http://host/execution/health")
    assert not reaches_the_tasks_api("/%2565xecution/health")
    assert not reaches_the_tasks_api("/Execution/health")


def test_rules_keep_to_the_limits_of_a_load_balancer() -> None:
    for route in ROUTES:
        texts = [*route.patterns, *route.expressions]
        assert len(texts) <= 3, "match evaluations of a condition"
        assert bool(route.patterns) != bool(route.expressions)
        assert all(len(text) <= 128 for text in texts)
        assert sum(text.count("*") for text in route.patterns) <= 5
        # Not in the load balancer's dialect.
        assert not any(re.search(r"\(\?|\\[1-9pb]", text) for text in route.expressions)
    priorities = [route.priority for route in ROUTES]
    assert priorities == sorted(set(priorities))


def test_nothing_is_forwarded_before_what_refuses_exists() -> None:
    for scheme in (GIVEN, {**GIVEN, "CertificateArn": CERTIFICATE}):
        stack = deploy(DOCUMENT, {}, scheme)
        refusing = {route.name for route in ROUTES if not route.leads_to}
        for route in ROUTES:
            if route.leads_to:
                assert set(stack.resources[route.name]["DependsOn"]) == refusing
        pages = "<Https>" if scheme["CertificateArn"] else "<Http>"
        listener = stack.resources[pages.strip("<>")]["Properties"]
        (default,) = listener["DefaultActions"]
        assert default["FixedResponseConfig"]["StatusCode"] == "404"
        assert {rule["ListenerArn"] for rule in rules(stack)} == {pages}


def test_flower_is_met_only_where_it_runs() -> None:
    assert answer("/flower") == answer("/flower/tasks") == "<Flower>"
    without = deployed(EnableFlower="false")
    assert not {"Flower", "FlowerPages"} & without.resources.keys()
    assert without.outputs["FlowerTargetGroupArn"] == ""
    assert deployed().outputs["FlowerTargetGroupArn"] == "<Flower>"


@pytest.mark.parametrize(
    ("scheme", "certificate", "domain", "url"),
    [
        ("internal", "", "", f"http://{DNS}"),
        ("internal", CERTIFICATE, "", f"https://{DNS}"),
        ("internal", CERTIFICATE, "airflow.example.com", "https://airflow.example.com"),
        ("internet-facing", CERTIFICATE, "a.example.com", "https://a.example.com"),
    ],
)
def test_the_url_is_what_a_browser_opens(
    scheme: str, certificate: str, domain: str, url: str
) -> None:
    stack = deployed(Scheme=scheme, CertificateArn=certificate, DomainName=domain)
    assert stack.outputs["Url"] == url
    assert stack.resources["LoadBalancer"]["Properties"]["Scheme"] == scheme


@pytest.mark.parametrize("scheme", ["internal", "internet-facing"])
def test_with_a_certificate_nothing_is_said_in_clear(scheme: str) -> None:
    # Controls 79 and 82.
    made = deployed(Scheme=scheme, CertificateArn=CERTIFICATE).resources
    https = made["Https"]["Properties"]
    assert (https["Port"], https["Protocol"]) == (443, "HTTPS")
    assert https["SslPolicy"].startswith("ELBSecurityPolicy-TLS13-1-2-")
    assert https["Certificates"] == [{"CertificateArn": CERTIFICATE}]
    http = made["Http"]["Properties"]
    assert http["Port"] == 80
    (action,) = http["DefaultActions"]
    assert action["Type"] == "redirect"
    assert action["RedirectConfig"] == {
        "Protocol": "HTTPS",
        "Port": "443",
        "StatusCode": "HTTP_301",
    }


def test_the_internet_never_gets_the_page_in_clear() -> None:
    # The parent's Rules demand a certificate; without it nothing listens here.
    made = deployed(Scheme="internet-facing").resources
    kinds = {one["Type"].rpartition("::")[2] for one in made.values()}
    assert kinds == {"LoadBalancer", "TargetGroup"}


def test_the_record_needs_a_name_and_a_zone() -> None:
    named = {"DomainName": "a.example.com", "CertificateArn": CERTIFICATE}
    assert "Record" not in deployed(**named).resources
    assert "Record" not in deployed(HostedZoneId="Z1").resources
    record = deployed(**named, HostedZoneId="Z1").resources["Record"]["Properties"]
    assert (record["Name"], record["HostedZoneId"]) == ("a.example.com", "Z1")
    assert record["AliasTarget"]["DNSName"] == DNS


def test_the_door_is_logged_and_refuses_what_is_not_http() -> None:
    # Controls 74 to 78.
    properties = deployed().resources["LoadBalancer"]["Properties"]
    assert attributes(properties["LoadBalancerAttributes"]) == {
        "routing.http.drop_invalid_header_fields.enabled": "true",
        "routing.http.desync_mitigation_mode": "strictest",
        "access_logs.s3.enabled": "true",
        "access_logs.s3.bucket": "logs",
        "connection_logs.s3.enabled": "true",
        "connection_logs.s3.bucket": "logs",
        "deletion_protection.enabled": "true",
    }


@pytest.mark.parametrize(
    ("name", "port", "path"),
    [("Api", 8080, "/api/v2/version"), ("Flower", 5555, "/flower/healthcheck")],
)
def test_targets_are_asked_a_page_that_tells_the_truth(
    name: str, port: int, path: str
) -> None:
    # Control 83, F2: / redirects, /health is gone, monitor/health is always 200.
    properties = deployed().resources[name]["Properties"]
    assert (properties["Port"], properties["HealthCheckPath"]) == (port, path)
    assert properties["TargetType"] == "ip"
    assert properties["Matcher"] == {"HttpCode": "200"}
    drain = attributes(properties["TargetGroupAttributes"])
    assert int(drain["deregistration_delay.timeout_seconds"]) <= 120


def test_scaling_and_alarms_get_the_names_that_they_know() -> None:
    outputs = deployed().outputs
    balancer = outputs["LoadBalancerFullName"]
    group = outputs["ApiTargetGroupFullName"]
    assert balancer == "<LoadBalancer.LoadBalancerFullName>"
    assert group == "<Api.TargetGroupFullName>"
    assert outputs["ApiResourceLabel"] == f"{balancer}/{group}"
