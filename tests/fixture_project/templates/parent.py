"""A product small enough to compile in a blink.

Two topics, the second named after the first.
"""

from __future__ import annotations

from compiler.wiring import Interface, Template, Value, about
from templates import topic


class Size(Value, AllowedValues=["small", "large"]):
    """How large something is."""


class Inputs(Interface):
    """The parameters."""

    size: Size = about(
        "How large it is.", group="Fixture", label="Size", Default="small"
    )
    owner: topic.Name = about("Whose it is.", group="Fixture", label="Owner")


class Outputs(Interface):
    """The outputs."""

    topic_arn: topic.TopicArn = about("The topic.")


def define(t: Template, inputs: Inputs) -> Outputs:
    """Nest the topics."""
    first = t.nest(
        topic.define,
        topic.Inputs(display_name=topic.Name(inputs.size.data)),
        name="First",
    )
    second = t.nest(
        topic.define, topic.Inputs(display_name=inputs.owner), name="Second"
    )
    t.nest(
        topic.define,
        topic.Inputs(display_name=topic.Name(second.topic_arn.data)),
        name="Third",
    )
    return Outputs(topic_arn=first.topic_arn)
