"""The CloudFormation templates: one module a template. Nothing here calls AWS."""
