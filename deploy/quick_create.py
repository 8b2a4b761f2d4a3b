"""Link that opens the CloudFormation console with the form filled in."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from cli.errors import Problem, Refused
from deploy.addresses import Publication
from deploy.aws import Aws
from deploy.dist import Environment

CONSOLES = {
    "aws": "{region}.console.aws.amazon.com",
    "aws-cn": "{region}.console.amazonaws.cn",
    "aws-us-gov": "{region}.console.amazonaws-us-gov.com",
    "aws-eusc": "{region}.console.amazonaws-eusc.eu",
}

IMAGE = (
    "https://s3.amazonaws.com/cloudformation-examples/cloudformation-launch-stack.png"
)
"""The button of AWS."""

LONGEST = 8000
"""Characters of an address that every browser and the console's proxies take."""


def quick_create(aws: Aws, publication: Publication, environment: Environment) -> str:
    """Return the URL of the console's review page for a stack."""
    host = CONSOLES.get(aws.partition)
    if host is None:
        raise Refused(
            Problem(
                where=f"Partition {aws.partition}",
                what="The URL of its console is unknown.",
                remedy=f"Open its console and enter this template: "
                f"{publication.root_url}",
            )
        )
    query = urlencode(
        {
            "templateURL": publication.root_url,
            "stackName": environment.stack_name,
            **{f"param_{n}": v for n, v in environment.parameters.items()},
        },
        quote_via=quote,
        safe="",
    )
    region = aws.region
    url = (
        f"https://{host.format(region=region)}/cloudformation/home?region={region}"
        f"#/stacks/create/review?{query}"
    )
    if len(url) > LONGEST:
        raise Refused(
            Problem(
                where=f"Environment {environment.name}",
                what=f"Its link would have {len(url):,} characters; {LONGEST:,} are "
                "safe.",
                remedy="Set fewer parameters: those at their default can be left out.",
            )
        )
    return url


def stack_page(aws: Aws, stack_id: str) -> str:
    """Return the URL of a stack in the console; nothing for the emulator."""
    host = CONSOLES.get(aws.partition)
    if aws.is_local or host is None:
        return ""
    return (
        f"https://{host.format(region=aws.region)}/cloudformation/home"
        f"?region={aws.region}#/stacks/stackinfo?stackId={quote(stack_id, safe='')}"
    )


def badge(url: str, environment: Environment) -> str:
    """Return the link as a button in Markdown."""
    return f"[![Launch {environment.stack_name}]({IMAGE})]({url})"
