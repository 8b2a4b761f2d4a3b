"""The certificate, the hosted zone and the record of the UI."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from cli.errors import AwsError
from deploy.aws import is_missing
from deploy.preflight.context import LaunchContext
from deploy.preflight.findings import Finding, passed, refused, warning

WEB_URL = "WebUrl"
"""Output of the parent: the address of the UI."""

SOON = timedelta(days=30)
"""ACM renews 60 days before the end, so one with less is not renewed by itself."""

MALFORMED = "ValidationException"
"""What ACM says of an ARN that is none."""


def certificate(context: LaunchContext) -> Iterator[Finding]:
    """Look at state, names and end of each certificate."""
    arns = {
        certificate["CertificateArn"]
        for listener in context.of_type("AWS::ElasticLoadBalancingV2::Listener")
        for certificate in listener.properties.get("Certificates", ())
    }
    for arn in sorted(arns):
        try:
            row = context.aws.call(
                "acm", "describe_certificate", arn, CertificateArn=arn
            )["Certificate"]
        except AwsError as error:
            if not is_missing(error) and error.code != MALFORMED:
                raise
            yield refused(
                f"There is no certificate {arn}.",
                f"Name one of {context.aws.region}; `aws acm list-certificates`.",
            )
            continue
        yield from _certificate(context, row)


def _certificate(context: LaunchContext, row: Mapping[str, Any]) -> Iterator[Finding]:
    names = {row["DomainName"], *row.get("SubjectAlternativeNames", ())}
    listed = ", ".join(sorted(names))
    host = urlsplit(context.output(WEB_URL)).hostname
    end = row.get("NotAfter")
    if row["Status"] != "ISSUED":
        yield refused(
            f"The certificate of {listed} is {row['Status']}.",
            "Create its validation records, or request another.",
        )
    elif host and not any(_covers(name, host) for name in names):
        yield refused(
            f"The certificate is for {listed}, the UI at {host}.",
            "Request one for that name, or correct DomainName.",
        )
    elif end and end - datetime.now(UTC) < SOON:
        yield warning(
            f"The certificate of {listed} ends on {end:%Y-%m-%d}.",
            "Import the next one, or mend what keeps ACM from renewing it.",
        )
    else:
        yield passed(f"The certificate of {listed} is issued.")


def _covers(name: str, host: str) -> bool:
    """Whether a name of a certificate, maybe with one wildcard label, is a host's."""
    if name.startswith("*."):
        return host.partition(".")[2] == name[2:]
    return name == host


def hosted_zone(context: LaunchContext) -> Iterator[Finding]:
    """Look at the zone of the UI's record, and for a record of the same name."""
    for record in context.of_type("AWS::Route53::RecordSet"):
        zone_id = record.properties["HostedZoneId"]
        domain = str(record.properties["Name"]).rstrip(".")
        try:
            zone = context.aws.call("route53", "get_hosted_zone", zone_id, Id=zone_id)[
                "HostedZone"
            ]
        except AwsError as error:
            if not is_missing(error):
                raise
            yield refused(
                f"There is no hosted zone {zone_id}.",
                "Correct HostedZoneId; `aws route53 list-hosted-zones`.",
            )
            continue
        name = zone["Name"].rstrip(".")
        if domain != name and not domain.endswith(f".{name}"):
            yield refused(
                f"Zone {zone_id} is {name}, which does not hold {domain}.",
                "Name the zone of the domain.",
            )
        elif context.is_new and _is_taken(context, zone_id, domain):
            yield refused(
                f"{domain} has a record in zone {zone_id} already.",
                "Delete it, or choose another DomainName: CloudFormation does not "
                "replace a record that it did not create.",
            )
        else:
            yield passed(f"Zone {zone_id}, {name}, can hold {domain}.")


def _is_taken(context: LaunchContext, zone_id: str, domain: str) -> bool:
    rows = context.aws.call(
        "route53",
        "list_resource_record_sets",
        zone_id,
        HostedZoneId=zone_id,
        StartRecordName=domain,
        MaxItems="10",
    )["ResourceRecordSets"]
    return any(
        row["Name"].rstrip(".") == domain and row["Type"] in ("A", "AAAA", "CNAME")
        for row in rows
    )
