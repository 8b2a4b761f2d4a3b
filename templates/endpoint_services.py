"""AWS services that DAGs call, for which an operator can have interface endpoints.

The names are those of the AWS PrivateLink guide, "AWS services that integrate with AWS
PrivateLink". Left out are services whose endpoint has no private DNS name or does
without a policy, such as DynamoDB, for which a gateway endpoint is free, and SES, which
is no HTTPS.
"""

from __future__ import annotations

DAG_SERVICES = {
    "athena": "athena",
    "batch": "batch",
    "bedrock-runtime": "bedrock",
    "cloudformation": "cloudformation",
    "codebuild": "codebuild",
    "comprehend": "comprehend",
    "datasync": "datasync",
    "dms": "dms",
    "ec2": "ec2",
    "eks": "eks",
    "elasticmapreduce": "elasticmapreduce",
    "emr-containers": "emr-containers",
    "emr-serverless": "emr-serverless",
    "events": "events",
    "glue": "glue",
    "kinesis-firehose": "firehose",
    "kinesis-streams": "kinesis",
    "lakeformation": "lakeformation",
    "lambda": "lambda",
    "rds": "rds",
    "rds-data": "rds-data",
    "redshift": "redshift",
    "redshift-data": "redshift-data",
    "redshift-serverless": "redshift-serverless",
    "sagemaker.api": "sagemaker",
    "sagemaker.runtime": "sagemaker",
    "sns": "sns",
    "sqs": "sqs",
    "ssm": "ssm",
    "states": "states",
    "textract": "textract",
    "transcribe": "transcribe",
    "transfer": "transfer",
    "translate": "translate",
}
"""Name of the endpoint's service -> prefix of its actions in IAM."""
