"""Findings of the linters that are answered instead of followed, each with its reason.

An exception names the linter's rule and the narrowest place it holds for:
``template`` and ``place`` are shell patterns over ``database.template.json`` and
``Resources.Cluster.Properties.Engine``. A test fails for an exception that no
template needs any more.
"""

from __future__ import annotations

from compiler.lint import LintException

EXCEPTIONS = (
    LintException(
        rule="W3002",
        reason="Relative template paths are what lets cfn-lint check the connections; "
        "publishing rewrites them to URLs.",
    ),
    LintException(
        rule="I3011",
        template="parent.template.json",
        reason="The parent holds nested stacks only. What holds data in them has "
        "policies of its own; a whole stack that its parent leaves behind can be "
        "neither updated nor deleted with it.",
    ),
    LintException(
        rule="I4010",
        reason="Every resource says what it is for in Metadata.Purpose, which a "
        "design rule demands, and the reason where a reader would ask.",
    ),
    LintException(
        rule="I1022",
        reason="Join holds the object itself; in the text of a Sub it would be a name "
        "again, which nothing checks before the linter does.",
    ),
    LintException(
        rule="W1001",
        linter="cloudformation-validate",
        place="Outputs.*Fn::If*",
        reason="It does not see that Fn::If guards a reference in Outputs; cfn-lint's "
        "rule of the same name does, and is followed.",
    ),
    LintException(
        rule="W1028",
        linter="cloudformation-validate",
        template="parent.template.json",
        place="Resources.*.Properties.Parameters.*",
        reason="It takes an environment's values for the only ones, and then one "
        "branch of every condition is unreachable; cfn-lint's rule of the same name "
        "does not, and is followed.",
    ),
    *(
        LintException(
            rule="W1030",
            linter="cloudformation-validate",
            template=f"{template}.template.json",
            place=place,
            reason="The default is empty and the property is left out then; the linter "
            "does not follow the condition.",
        )
        for template, place in (
            ("service-catalog", "Parameters.LauncherArn.Default"),
            ("service-catalog", "Resources.LaunchRole.Properties.PermissionsBoundary"),
            ("service-catalog", "Resources.Tag.Properties.*"),
            ("image-build", "Resources.BuildRole.Properties.PermissionsBoundary"),
        )
    ),
    LintException(
        rule="W3688",
        linter="cloudformation-validate",
        template="database.template.json",
        place="Resources.Cluster.Properties.MasterUsername",
        reason="One condition chooses between the two; the linter sees both at once.",
    ),
    LintException(
        rule="W2509",
        place="Parameters.SecretEnvironment*",
        reason="It names the secrets of the operator by their ARNs, and holds none.",
    ),
    *(
        LintException(
            rule="W2509",
            place=place,
            reason="It says where secrets are or who may read them, and holds none.",
        )
        for place in ("Parameters.SecretsPrefix", "Parameters.EnableSecretsAtParsing")
    ),
    LintException(
        rule="W2509",
        place="Parameters.*SecretArn",
        reason="The value is the ARN of a secret and says so; secrets themselves are "
        "generated in the stack and no parameter holds one.",
    ),
    LintException(
        rule="W9003",
        linter="cloudformation-validate",
        reason="A template's parameters are strings and numbers; CloudFormation turns "
        "them into what the property takes, by the resource's schema.",
    ),
)
"""All exceptions."""
