"""A topic that messages go to.

It has no subscriptions: those are not what is tested.
"""

from __future__ import annotations

from troposphere import Ref, sns

from compiler.wiring import Interface, Template, Value, about


class Name(Value):
    """What something is called."""


class TopicArn(Value):
    """An SNS topic."""


class Inputs(Interface):
    """The parameters."""

    display_name: Name = about("What people see as the sender.")


class Outputs(Interface):
    """The outputs."""

    topic_arn: TopicArn = about("The topic.")


def define(t: Template, inputs: Inputs) -> Outputs:
    """Write the topic."""
    topic = t.add(
        sns.Topic("Topic", DisplayName=inputs.display_name),
        "Takes messages.",
        why="Something has to be in a template.",
    )
    return Outputs(topic_arn=TopicArn(Ref(topic)))
