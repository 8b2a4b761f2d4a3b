"""Apache Airflow as a Service Catalog product, with the role that launches it.

The users of a portfolio need no permission for the resources of a launch: Service
Catalog uses the launch role, which has the permissions that the compiled templates
need and no more (``compiler/launch_permissions.py``).

The product is created with its first version, and this template has no other.
CloudFormation matches a product's versions by name and URL and deletes one that no
longer matches, so a list of releases would delete versions that are in use. Hence name
and URL of the first version are parameters, which an update leaves at their previous
values; later versions are added through the API, after an update of this stack has
extended the launch role for them.

There is no template constraint: one applies at once to all versions of a product, and
a rule of the newest that names a new parameter would stop launches and updates of the
older ones. CloudFormation applies the Rules in each version's own template.

It does not share the portfolio with other accounts: each would need the launch role,
its boundaries, and access to the published files.
"""

from __future__ import annotations

import awacs.s3
import awacs.sts
from awacs.aws import (
    Allow,
    Condition,
    Principal,
    Statement,
    StringEquals,
    StringEqualsIfExists,
)
from troposphere import (
    AccountId,
    And,
    AWSHelperFn,
    Equals,
    GetAtt,
    If,
    Not,
    NoValue,
    Or,
    Ref,
    Select,
    Split,
    Sub,
    iam,
    servicecatalog,
)

from compiler.launch_permissions import PROVISIONED
from compiler.values import ASSET_BUCKET
from compiler.wiring import Define, Interface, Record, Template, about
from templates.checks.rules import Assertion, Rule
from templates.resources.launch_role import PATH, add_launch_policies, policy_document
from templates.types import (
    ARN,
    Email,
    HostedZoneId,
    PolicyArn,
    PolicyArns,
    RoleArn,
    RoleArns,
    Text,
    Url,
)


class Inputs(Interface):
    """Parameters for the administrator of the portfolio."""

    portfolio_name: Text = about(
        "Name of the portfolio, as its users see it.",
        group="Portfolio",
        label="Portfolio",
        Default="Apache Airflow",
        MinLength=1,
        MaxLength=100,
    )
    provider_name: Text = about(
        "Owner of the portfolio and the product.",
        group="Portfolio",
        label="Provider",
        Default="Platform team",
        MinLength=1,
        MaxLength=50,
    )
    launcher_arn: Text = about(
        "Role, user or group that may launch the product. Without an account number "
        "it may hold wildcards, as arn:aws:iam:::role/Data*. Empty for none yet.",
        group="Portfolio",
        label="Launcher",
        Default="",
        AllowedPattern=rf"^({ARN}iam::(\d{{12}})?:(role|user|group)/.+)?$",
        ConstraintDescription="The ARN of an IAM role, user or group, or nothing.",
    )
    product_name: Text = about(
        "Name of the product, as its users see it.",
        group="Product",
        label="Product",
        Default="Apache Airflow on Fargate",
        MinLength=1,
        MaxLength=100,
    )
    support_email: Email = about(
        "Address that users of the product may write to. Empty for none.",
        group="Product",
        label="Support e-mail",
        Default="",
    )
    tag_key: Text = about(
        "Key of a tag that every launch carries. The account must not have a "
        "TagOption of this key and value yet. Empty for none.",
        group="Product",
        label="Tag key",
        Default="",
        MaxLength=128,
        AllowedPattern=r"^(?![aA][wW][sS]:|[aA][iI][rR][fF][lL][oO][wW]:).*$",
        ConstraintDescription="A key that begins neither with aws: nor with airflow:.",
    )
    tag_value: Text = about(
        "Value of the tag that every launch carries. Empty for none.",
        group="Product",
        label="Tag value",
        Default="",
        MaxLength=256,
    )
    role_boundary_arn: PolicyArn = about(
        "Permissions boundary that every role of a launch must have, instead of the "
        "one in this stack's outputs; users enter either in the product's form.",
        group="Launch role",
        label="Boundary of launched roles",
        Default="",
    )
    launch_role_boundary_arn: PolicyArn = about(
        "Permissions boundary of the launch role itself. Empty for none.",
        group="Launch role",
        label="Boundary of the launch role",
        Default="",
    )
    hosted_zone_id: HostedZoneId = about(
        "Route 53 zone in which launches may create records. Empty for none.",
        group="Launch role",
        label="Hosted zone",
        Default="",
    )
    extra_policy_arns: PolicyArns = about(
        "Managed policies that a launch may attach to the roles of its tasks, beside "
        "its own; they need a boundary that allows as much. Empty for none.",
        group="Launch role",
        label="Attachable policies",
        Default="",
    )
    assumable_role_arns: RoleArns = about(
        "Roles that tasks of a launch may assume: what the boundary made here allows. "
        "Empty for none.",
        group="Launch role",
        label="Assumable roles",
        Default="",
    )


class FirstVersion(Record):
    """The first version of the product, which an update must not change."""

    name: Text = about(
        "Name of the product's first version. Leave it as it is in an update: "
        "CloudFormation deletes a version whose name changes.",
        label="Name",
        Default="v1",
        AllowedPattern=r"^[A-Za-z0-9._-]{1,100}$",
        ConstraintDescription="Letters, digits, dots, underscores and hyphens.",
    )
    url: Url = about(
        "Template of the product's first version. Leave it as it is in an "
        "update: CloudFormation deletes a version whose URL changes.",
        label="Template",
    )


class Outputs(Interface):
    """Identifiers for adding a version and for auditing the role."""

    portfolio_id: Text = about("Portfolio that holds the product.")
    product_id: Text = about("Product to which later versions are added.")
    launch_role_arn: RoleArn = about("Role that launches the product.")
    role_boundary_arn: PolicyArn = about(
        "Boundary that users enter as PermissionsBoundaryArn in the product's form."
    )


def define_for(parent: Template) -> Define[Inputs, Outputs]:
    """Return the definition of the product that launches a compiled parent."""

    def define(t: Template, inputs: Inputs) -> Outputs:
        has_launcher = t.condition("HasLauncher", _is_given(inputs.launcher_arn))
        # The padding gives even an empty ARN its fifth part.
        account = Select(4, Split(":", Sub("${Arn}:::::", Arn=inputs.launcher_arn)))
        is_pattern = t.condition("IsLauncherPattern", Equals(account, ""))
        has_support = t.condition("HasSupportEmail", _is_given(inputs.support_email))
        has_tag = t.condition(
            "HasTag", And(_is_given(inputs.tag_key), _is_given(inputs.tag_value))
        )
        _require_key_and_value(t, inputs)
        first_version = t.settings(
            FirstVersion,
            prefix="first_version_",
            group="First version",
            where="the first version",
            # Relative, like every TemplateURL; publishing replaces it.
            defaults={"url": parent.path},
            fixed={},
        )

        # Portfolio, product and launcher.
        portfolio = t.add(
            servicecatalog.Portfolio(
                "Portfolio",
                DisplayName=inputs.portfolio_name,
                ProviderName=inputs.provider_name,
            ),
            "Portfolio of the product.",
        )
        t.add(
            servicecatalog.PortfolioPrincipalAssociation(
                "Launcher",
                Condition=has_launcher,
                PortfolioId=Ref(portfolio),
                PrincipalARN=inputs.launcher_arn,
                PrincipalType=If(is_pattern, "IAM_PATTERN", "IAM"),
            ),
            "Allows a role, user or group to launch the product.",
        )
        product = t.add(
            servicecatalog.CloudFormationProduct(
                "Product",
                Name=inputs.product_name,
                Owner=inputs.provider_name,
                Description=str(parent.description),
                SupportEmail=If(has_support, inputs.support_email, NoValue),
                ReplaceProvisioningArtifacts=False,
                ProvisioningArtifactParameters=[
                    servicecatalog.ProvisioningArtifactProperties(
                        Name=first_version.name,
                        Type="CLOUD_FORMATION_TEMPLATE",
                        Info=servicecatalog.Info(LoadTemplateFromURL=first_version.url),
                    )
                ],
            ),
            "Apache Airflow as a product.",
            why="Its versions keep their identity when the product is updated; only "
            "the first is known here.",
        )
        offer = t.add(
            servicecatalog.PortfolioProductAssociation(
                "ProductInPortfolio",
                PortfolioId=Ref(portfolio),
                ProductId=Ref(product),
            ),
            "Adds the product to the portfolio.",
        )

        # Tags of launches.
        tag = t.add(
            servicecatalog.TagOption(
                "Tag", Condition=has_tag, Key=inputs.tag_key, Value=inputs.tag_value
            ),
            "Tag that Service Catalog adds to a launch.",
        )
        t.add(
            servicecatalog.TagOptionAssociation(
                "TagOfProduct",
                Condition=has_tag,
                ResourceId=Ref(product),
                TagOptionId=Ref(tag),
            ),
            "Adds the tag to the product.",
        )
        t.add(
            servicecatalog.ResourceUpdateConstraint(
                "TagUpdates",
                DependsOn=offer,
                PortfolioId=Ref(portfolio),
                ProductId=Ref(product),
                TagUpdateOnProvisionedProduct="ALLOWED",
            ),
            "Allows users to change the tags of their launches.",
            why="Without it tags are fixed at the launch.",
        )

        # The role of launches.
        launching = add_launch_policies(
            t,
            parent,
            stack_prefix=PROVISIONED,
            bucket=ASSET_BUCKET,
            role_boundary_arn=inputs.role_boundary_arn,
            extra_policy_arns=inputs.extra_policy_arns,
            assumable_role_arns=inputs.assumable_role_arns,
            further=[_copied_template()],
        )
        has_boundary = t.condition(
            "HasLaunchRoleBoundary", _is_given(inputs.launch_role_boundary_arn)
        )
        role = t.add(
            iam.Role(
                "LaunchRole",
                Path=PATH,
                Description="Launches Apache Airflow for the users of Service Catalog.",
                AssumeRolePolicyDocument=policy_document(_assumed_by_service_catalog()),
                ManagedPolicyArns=launching.policies,
                PermissionsBoundary=If(
                    has_boundary, inputs.launch_role_boundary_arn, NoValue
                ),
            ),
            "Role with which Service Catalog launches the product.",
        )
        t.add(
            servicecatalog.LaunchRoleConstraint(
                "LaunchConstraint",
                DependsOn=offer,
                PortfolioId=Ref(portfolio),
                ProductId=Ref(product),
                RoleArn=GetAtt(role, "Arn"),
            ),
            "Makes every launch use the launch role.",
        )
        return Outputs(
            portfolio_id=Text(Ref(portfolio)),
            product_id=Text(Ref(product)),
            launch_role_arn=RoleArn(GetAtt(role, "Arn")),
            role_boundary_arn=PolicyArn(launching.boundary_arn),
        )

    return define


def _assumed_by_service_catalog() -> Statement:
    """Trust Service Catalog for this account.

    AWS does not document whether Service Catalog sends the account it works for. The
    condition applies where it does, and does not deny access where it does not.
    """
    return Statement(
        Effect=Allow,
        Principal=Principal("Service", "servicecatalog.amazonaws.com"),
        Action=[awacs.sts.AssumeRole],
        Condition=Condition(StringEqualsIfExists("aws:SourceAccount", AccountId)),
    )


def _copied_template() -> Statement:
    """Read the copy of the parent that Service Catalog keeps in a bucket of its own."""
    return Statement(
        Sid="ReadCopiedTemplate",
        Effect=Allow,
        Action=[awacs.s3.GetObject],
        Resource=["*"],
        Condition=Condition(
            StringEquals("s3:ExistingObjectTag/servicecatalog:provisioning", "true")
        ),
    )


def _require_key_and_value(t: Template, inputs: Inputs) -> None:
    """Refuse a tag without a key or a value."""
    has_key, has_value = _is_given(inputs.tag_key), _is_given(inputs.tag_value)
    rule = Rule(
        name="ATagHasKeyAndValue",
        assertions=(
            Assertion(
                holds=Or(And(has_key, has_value), And(Not(has_key), Not(has_value))),
                message="A tag has both: set TagKey and TagValue, or neither.",
            ),
        ),
    )
    t.add_rule(rule.name, rule.document())


def _is_given(value: AWSHelperFn) -> Not:
    return Not(Equals(value, ""))
