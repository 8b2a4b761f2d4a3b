"""The tag that says to which stack a resource belongs, where its name does not.

CloudFormation sets ``aws:cloudformation:stack-name`` on most types by itself; these
templates set a tag of their own on the types whose schemas say that it does not. The
launch role changes only resources that carry one of the two.
"""

from __future__ import annotations

from troposphere import StackName, Tags

STACK_TAG = "airflow:stack"
"""Its value is the name of the nested stack, which begins with the launched stack's."""


def stack_tag() -> Tags:
    """Return the tag of a resource."""
    return Tags({STACK_TAG: StackName})
