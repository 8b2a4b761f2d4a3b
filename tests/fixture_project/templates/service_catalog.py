"""A second root, made from the compiled first one.

It tells subscribers how many parameters the product has.
"""

from __future__ import annotations

from troposphere import Ref, sns

from compiler.wiring import Define, Interface, Template, about
from templates import topic


class Inputs(Interface):
    """What an operator chooses."""

    owner: topic.Name = about("Whose it is.", group="Fixture", label="Owner")


class Outputs(Interface):
    """What an operator needs to know."""

    topic_arn: topic.TopicArn = about("The topic.")


def define_for(product: Template) -> Define[Inputs, Outputs]:
    """Return the template of a compiled product."""

    def define(t: Template, inputs: Inputs) -> Outputs:
        """Write the topic."""
        parameters = len(product.document["Parameters"])
        product_topic = t.add(
            sns.Topic("Product", DisplayName=inputs.owner),
            f"Stands for a product of {parameters} parameters.",
            why="A root has to have a resource.",
        )
        return Outputs(topic_arn=topic.TopicArn(Ref(product_topic)))

    return define
