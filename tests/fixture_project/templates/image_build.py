"""A third root, which stands for the build of an image.

It has one topic.
"""

from __future__ import annotations

from troposphere import Ref, sns

from compiler.wiring import Interface, Template, about
from templates import topic


class Inputs(Interface):
    """What an operator chooses."""

    owner: topic.Name = about("Whose it is.", group="Fixture", label="Owner")


class Outputs(Interface):
    """What an operator needs to know."""

    topic_arn: topic.TopicArn = about("The topic.")


def define(t: Template, inputs: Inputs) -> Outputs:
    """Write the topic."""
    image_topic = t.add(
        sns.Topic("Image", DisplayName=inputs.owner),
        "Stands for the build of an image.",
        why="A root has to have a resource.",
    )
    return Outputs(topic_arn=topic.TopicArn(Ref(image_topic)))
