"""Shell commands for operators, as outputs show them.

Each looks up itself what changes from day to day, such as the ID of a task.
"""

from __future__ import annotations

from troposphere import AWSHelperFn, Join, Sub

from templates.airflow.components import API_SERVER, COMMAND
from templates.types import Cluster, SecurityGroupId, SubnetIds

RUN_COMMAND = (
    "aws ecs run-task --region ${AWS::Region} --cluster ${Cluster}"
    " --task-definition ${Definition} --launch-type FARGATE"
    " --propagate-tags TASK_DEFINITION"
    " --network-configuration 'awsvpcConfiguration={subnets=[${Subnets}],"
    "securityGroups=[${Group}],assignPublicIp=DISABLED}'"
    """ --overrides '{"containerOverrides":[{"name":"${Container}","environment":"""
    """[{"name":"AIRFLOW_ARGUMENTS","value":"db check"}]}]}'"""
)

FORWARD_PORT = (
    "TASK=$(aws ecs list-tasks --region ${AWS::Region} --cluster ${Cluster}"
    " --service-name ${Service} --desired-status RUNNING"
    " --query 'taskArns[0]' --output text) &&"
    " aws ssm start-session --region ${AWS::Region}"
    ' --target "ecs:${Cluster}_${!TASK##*/}_$(aws ecs describe-tasks'
    ' --region ${AWS::Region} --cluster ${Cluster} --tasks "$TASK"'
    """ --query "tasks[0].containers[?name=='${Container}'].runtimeId | [0]\""""
    ' --output text)"'
    " --document-name AWS-StartPortForwardingSession"
    " --parameters portNumber=${Port},localPortNumber=${Port}"
)


def run_command(
    cluster: Cluster,
    definition_arn: AWSHelperFn,
    *,
    subnet_ids: SubnetIds,
    group_id: SecurityGroupId,
) -> Sub:
    """Run one Airflow command; the last value is what follows ``airflow``."""
    return Sub(
        RUN_COMMAND,
        Cluster=cluster.name,
        Definition=definition_arn,
        Container=COMMAND.name,
        Subnets=Join(",", subnet_ids),
        Group=group_id,
    )


def forward_port(cluster: Cluster, service_name: AWSHelperFn) -> Sub:
    """Forward a port of localhost to one API server, with AWS credentials, no VPN."""
    return Sub(
        FORWARD_PORT,
        Cluster=cluster.name,
        Service=service_name,
        Container=API_SERVER.name,
        Port=str(API_SERVER.port),
    )
