"""The load balancer: routes, the refused execution API, URL, record and targets."""

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
DOCUMENT = Build().template(load_balancer.define).document

Semantics = Literal["search", "fullmatch"]


def deployed(**changes: str) -> Stack:
    return deploy(DOCUMENT, {}, {**GIVEN, **changes})


def attributes(listed: list[dict[str, Any]]) -> dict[str, str]:
    return {entry["Key"]: entry["Value"] for entry in listed}


def test_replaced_load_balancer_gets_new_target_groups() -> None:
    # One that is bound to the old load balancer cannot serve the new one's listeners.
    for port, name in ((8080, "Api"), (5555, "Flower")):
        group = deployed().resources[name]["Properties"]
        assert group["Port"] == port
        assert group["Name"] == f"airflow-{port}-<LoadBalancer/3>"
        assert len(group["Name"].replace("<LoadBalancer/3>", "0" * 16)) <= 32


def rules(stack: Stack) -> list[dict[str, Any]]:
    properties = [
        resource["Properties"]
        for resource in stack.resources.values()
        if resource["Type"] == "AWS::ElasticLoadBalancingV2::ListenerRule"
    ]
    return sorted(properties, key=lambda rule: int(rule["Priority"]))


RULES = rules(deployed())


def answer(path: str, semantics: Semantics = "fullmatch") -> str:
    """Return where the load balancer forwards a path: a target group or "refused"."""
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


def reaches_the_execution_api(request_target: str) -> bool:
    """Whether the API server takes a request target for ``/execution/``.

    As measured on uvicorn with either of its parsers and Starlette's routing, with
    and without a root path: whole URLs are split, the path is decoded once, a
    second slash in front may be dropped.
    """
    is_url = request_target.startswith(("http://", "https://"))
    path = urlsplit(request_target).path if is_url else request_target.partition("?")[0]
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
    "/flower/metrics": "Flower's page without a password",
    "*": "not a path",
    "": "nothing",
}
FORWARDED_TO_AIRFLOW = (
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
def test_execution_api_is_refused_in_every_spelling(
    path: str, semantics: Semantics
) -> None:
    # GET /%65xecution/health reached it past a plain pattern.
    assert answer(path, semantics) == "refused", REFUSED[path]


@pytest.mark.parametrize("semantics", ["search", "fullmatch"])
@pytest.mark.parametrize("path", FORWARDED_TO_AIRFLOW)
def test_ui_and_api_paths_are_forwarded(path: str, semantics: Semantics) -> None:
    assert answer(path, semantics) == "<Api>"
    assert not reaches_the_execution_api(path)


def encoded(character: str) -> st.SearchStrategy[str]:
    hexadecimal = f"%{ord(character):02x}"
    return st.sampled_from([character, character, hexadecimal, hexadecimal.upper()])


SPELLINGS = st.tuples(
    st.sampled_from(["", "http://host", "/", "/.", "/x/..", "%2f"]),
    *(encoded(character) for character in "/execution/health"),
    st.sampled_from(["", "?a=/b", "/../x", ";c=d", "%00"]),
).map("".join)


@settings(derandomize=True, database=None, max_examples=500)
@given(SPELLINGS, st.sampled_from(["search", "fullmatch"]))
def test_generated_spellings_of_the_execution_api_are_refused(
    path: str, semantics: Semantics
) -> None:
    if reaches_the_execution_api(path):
        assert answer(path, semantics) == "refused"


def test_api_server_model_matches_measurements() -> None:
    # Else the test above could hold by generating nothing that matters.
    assert reaches_the_execution_api("/%65xecution/health")
    assert reaches_the_execution_api("//execution/health")
    assert reaches_the_execution_api("http://host/execution/health")
    assert not reaches_the_execution_api("/%2565xecution/health")
    assert not reaches_the_execution_api("/Execution/health")


def test_rules_stay_within_load_balancer_quotas() -> None:
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


def test_forwarding_rules_depend_on_refusing_rules() -> None:
    for scheme in (GIVEN, {**GIVEN, "CertificateArn": CERTIFICATE}):
        stack = deploy(DOCUMENT, {}, scheme)
        refusing = {route.name for route in ROUTES if not route.target}
        for route in ROUTES:
            if route.target:
                assert set(stack.resources[route.name]["DependsOn"]) == refusing
        pages = "<Https>" if scheme["CertificateArn"] else "<Http>"
        listener = stack.resources[pages.strip("<>")]["Properties"]
        (default,) = listener["DefaultActions"]
        assert default["FixedResponseConfig"]["StatusCode"] == "404"
        assert {rule["ListenerArn"] for rule in rules(stack)} == {pages}


def test_flower_is_reachable_only_where_it_runs() -> None:
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
def test_url_has_the_scheme_and_name_that_browsers_use(
    scheme: str, certificate: str, domain: str, url: str
) -> None:
    stack = deployed(Scheme=scheme, CertificateArn=certificate, DomainName=domain)
    assert stack.outputs["Url"] == url
    assert stack.resources["LoadBalancer"]["Properties"]["Scheme"] == scheme


def test_internet_facing_load_balancer_needs_a_certificate() -> None:
    # The parent's Rules demand a certificate; without it nothing listens here.
    resources = deployed(Scheme="internet-facing").resources
    types = {resource["Type"].rpartition("::")[2] for resource in resources.values()}
    assert types == {"LoadBalancer", "TargetGroup"}


def test_record_needs_a_name_and_a_zone() -> None:
    named = {"DomainName": "a.example.com", "CertificateArn": CERTIFICATE}
    assert "Record" not in deployed(**named).resources
    assert "Record" not in deployed(HostedZoneId="Z1").resources
    record = deployed(**named, HostedZoneId="Z1").resources["Record"]["Properties"]
    assert (record["Name"], record["HostedZoneId"]) == ("a.example.com", "Z1")
    assert record["AliasTarget"]["DNSName"] == DNS


@pytest.mark.parametrize(
    ("name", "port", "path"),
    [("Api", 8080, "/api/v2/version"), ("Flower", 5555, "/flower/healthcheck")],
)
def test_health_check_paths_report_the_real_state(
    name: str, port: int, path: str
) -> None:
    # / redirects, /health is gone, monitor/health is always 200.
    properties = deployed().resources[name]["Properties"]
    assert (properties["Port"], properties["HealthCheckPath"]) == (port, path)
    assert properties["TargetType"] == "ip"
    assert properties["Matcher"] == {"HttpCode": "200"}
    drain = attributes(properties["TargetGroupAttributes"])
    assert int(drain["deregistration_delay.timeout_seconds"]) <= 120


def test_outputs_have_the_names_that_scaling_and_alarms_use() -> None:
    outputs = deployed().outputs
    balancer = outputs["LoadBalancerFullName"]
    group = outputs["ApiTargetGroupFullName"]
    assert balancer == "<LoadBalancer.LoadBalancerFullName>"
    assert group == "<Api.TargetGroupFullName>"
    assert outputs["ApiResourceLabel"] == f"{balancer}/{group}"
