"""The numbered controls: the setting, its value in production, and its template.

``python -m tests.compliance.controls > docs/controls.md`` writes the reference. The
tests of a control are read from their markers, the exceptions from decision 7, so
neither is written twice.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType

HERE = Path(__file__).parent
TESTS = HERE.parent
DOCS = TESTS.parent / "docs"
REFERENCE = DOCS / "controls.md"
DECISION = "decisions/0007-security-control-exceptions.md"

NOT_IN_RULE_PACKS = frozenset(
    {
        *(9, 11, 12, 13, 18, 19, 20, 21, 26, 32, 33, 34, 35, 36, 37, 39, 40, 43, 44),
        *(51, 52, 59, 62, 63, 64, 65, 72, 75, 83, 84, 86, 87, 92, 93, 95, 96, 97, 99),
        *(100, 103, 105, 106, 107, 108, 109, 110, 111, 113, 114, 116, 117, 118, 120),
        *(123, 135),
    }
)
"""Controls whose mutation no public rule pack reports (measured)."""


@dataclass(frozen=True)
class Control:
    """A setting, its value in production, and the templates or modules that set it."""

    number: int
    setting: str
    value: str
    template: str


@dataclass(frozen=True)
class Area:
    """Controls of one part of the product."""

    title: str
    controls: tuple[Control, ...]


def _controls(table: str) -> tuple[Control, ...]:
    """Return the controls of a table: number, setting, value, templates."""
    rows = (line.split(" | ") for line in table.strip().splitlines())
    return tuple(Control(int(number), *cells) for number, *cells in rows)


AREAS = (
    Area(
        "Database",
        _controls("""
1 | Encryption at rest | on | database
2 | KMS key of data, insights and master secret | customer managed | database
3 | TLS | required by the server; clients use verify-full | database
4 | Deletion protection | on | database
5 | Backup retention | 7 days or more | database
6 | IAM database authentication | on | database
7 | PostgreSQL log | exported to a log group of the stack | database
8 | Tags on snapshots | copied | database
9 | Port | stated, not 5432 | database
10 | Master user name | not a well-known one | database
11 | Maintenance and backup windows | apart | database
12 | Minimum capacity | 2 units or more | database
13 | Engine version | can be created | database
14 | Minor version upgrades | automatic | database
15 | Public address | none | database
16 | Performance Insights | on | database
17 | Enhanced monitoring | every minute | database
18 | Instances | two or more, spread over zones by Aurora | database
19 | Promotion tier of the reader | 0 or 1 | database
20 | Failover and failure events | published | database
21 | Copies outside the cluster | AWS Backup | backup
22 | On deletion | a snapshot | database
23 | Master password | managed by RDS | database
"""),
    ),
    Area(
        "Broker",
        _controls("""
24 | Encryption at rest | on | cache
25 | Encryption in transit | on | cache
26 | Plaintext connections | refused | cache
27 | Access | one user of a user group, by password | cache
28 | Failover | automatic | cache
29 | Multi-AZ | on | cache
30 | Replicas | one or more | cache
31 | Snapshots | daily, and on deletion | cache
32 | Minor version upgrades | automatic | cache
33 | Slow log and engine log | to log groups of the stack | cache
34 | Eviction policy | noeviction | cache
35 | KMS key | customer managed | cache
36 | Commands of the user | no dangerous one except INFO | cache
37 | Shards | one; not serverless | cache
"""),
    ),
    Area(
        "Secrets, KMS key, buckets, alarm topic and logs",
        _controls("""
38 | KMS key of secrets | customer managed | credentials, database, cache
39 | Characters of secrets | no punctuation | generated_login, credentials
40 | Values of secrets | generated | generated_login, credentials
41 | Key rotation | yearly | encryption
42 | Wildcard principals in the key policy | none allowed | encryption
43 | Services in the key policy | bound to this account | encryption
44 | Waiting period before key deletion | 30 days | encryption
45 | Public access to buckets | blocked by all four settings | storage
46 | Requests without TLS | denied | storage
47 | Versioning of buckets | on | storage
48 | Old versions and incomplete uploads | expire | storage
49 | Encryption of buckets | customer managed key, bucket key on | storage
50 | Access logs of buckets | on | storage
51 | Access control lists | off | storage
52 | Writers of access logs | for this account only | storage
53 | KMS key of the alarm topic | customer managed | alarm_topic, encryption
54 | Publishers to the alarm topic | named services of this account | alarm_topic
55 | Retention of log groups | limited | every template with a log
56 | Retention of logs | 365 days or more | every template with a log
57 | KMS key of log groups | customer managed; retained | every template with a log
"""),
    ),
    Area(
        "Network",
        _controls("""
58 | VPC flow logs | on | flow_logs
59 | Traffic in flow logs | accepted and rejected | flow_logs
60 | Automatic public addresses in subnets | none | subnets
61 | Sources that reach the load balancer | named, by range, list or group | security
62 | NAT gateways | one per zone, or none | network
63 | VPC endpoints without internet access | all services in use | endpoints
64 | Policy of the S3 endpoint | this account and image layers | network
65 | Private DNS names of endpoints | on | endpoints
66 | Sources that reach the database | security groups, no ranges | security
67 | Access to the database from the internet | none | security
68 | Egress | named per connection | security
69 | Egress on all ports | none; ranges of ports in `DagEgress` only | security
70 | HTTPS egress to the internet | none with VPC endpoints | security
71 | Descriptions of security-group rules | present, in valid characters | security
72 | Routes out of data subnets | none | network
"""),
    ),
    Area(
        "Load balancer and web firewall",
        _controls("""
73 | Scheme | internal by default | load_balancer
74 | Access logs | on | load_balancer
75 | Connection logs | on | load_balancer
76 | Invalid headers | dropped | load_balancer
77 | Deletion protection | on | load_balancer
78 | Desync mitigation | strictest | load_balancer
79 | TLS | 1.2 and 1.3 | load_balancer
80 | Web ACL | on an internet-facing load balancer | web_firewall
81 | Web ACL log | without tokens and cookies | web_firewall
82 | HTTP | redirected to HTTPS | load_balancer
83 | Health check path | stated | load_balancer, routes
84 | TLS to the tasks | see the decision | load_balancer
"""),
    ),
    Area(
        "Cluster and tasks",
        _controls("""
85 | Container Insights | enhanced | cluster
86 | ECS Exec | off; sessions are encrypted and logged when on | cluster
87 | KMS key of ephemeral storage | customer managed | cluster
88 | Read-only root file system | a parameter, with volumes | fargate
89 | User | not root | fargate
90 | User | stated | fargate
91 | Privileged containers | none | fargate
92 | Linux capabilities | all dropped, without ECS Exec | fargate
93 | Init process | on | fargate
94 | Log configuration of containers | present | fargate
95 | Health check of services | present, with time to start | components
96 | Stop timeout of workers | 120 seconds | components
97 | Stop timeout | 120 seconds or less | components
98 | Memory of containers | limited, with a rest for the proxy | fargate
99 | Log mode | non-blocking | fargate
100 | Task role | present | fargate
101 | Processes of the host | not visible | fargate
102 | CPU and memory | a pair that Fargate offers | fargate_sizes
103 | Roles | two per task, shared with no other | fargate
104 | Plain variables named like a secret | none | environment
105 | URLs with a password | none | environment
106 | Secrets | injected by ECS | environment
107 | TLS to the broker | certificate verified | environment
"""),
    ),
    Area(
        "Services, scaling and alarms",
        _controls("""
108 | Circuit breaker | on | fargate
109 | Failed deployments | rolled back | fargate
110 | Deployment alarms | see the decision | fargate
111 | Tasks during a deployment | 100 to 200 % | fargate
112 | Public addresses | none | fargate
113 | Zones of a service | two or more | fargate
114 | Zone rebalancing | on; off for workers | fargate
115 | Platform version | LATEST | fargate
116 | Health check grace period | longer than a start | fargate
117 | API servers | two or more | api_scaling
118 | Cost allocation tags | propagated to tasks | fargate
119 | Bounds of scaling | in order | scaling, api_scaling
120 | Scale-in cooldown | present | scaling, api_scaling
121 | Alarms | have an action | monitoring, scaling, backup
122 | Actions of alarms | enabled | monitoring, scaling, backup
"""),
    ),
    Area(
        "Roles and template hygiene",
        _controls("""
123 | Trust policies | bound to account and source | assume_role
124 | Wildcards in trust policies | none | assume_role
125 | Permissions for a whole service | none | permissions
126 | Passing roles | named roles, to one service | permissions
127 | Reading secrets | by name | permissions
128 | Decrypting | one key, through a service | permissions
129 | Resource * | only for actions without a resource form | permissions
130 | Publishing metrics | to one namespace | permissions
131 | Actions in policies | exist | every template with a policy
132 | Policies | managed and attached | fargate, flow_logs
133 | Parameters | all used | every template
134 | Partition in ARNs | a reference | every template
135 | Physical names | only where required | every template
"""),
    ),
)


ADDITIONAL = {
    "Buckets send their events to EventBridge": "test_buckets_send_events",
    "Airflow, Celery, the autoscaler and the master are separate database users": (
        "test_airflow_celery_autoscaler_and_master_are_four_users"
    ),
    "The master's password reaches the migration job and nothing else": (
        "test_only_the_migration_has_the_master_password"
    ),
    "A restore from a snapshot is a parameter": (
        "test_restore_inherits_user_and_encryption_from_the_snapshot"
    ),
    "The log group of the database exists before RDS would create it": (
        "test_log_group_is_created_before_any_instance"
    ),
    "Users cannot create grants on the KMS key": "test_users_cannot_create_grants",
    "The KMS key is retained when its stack is deleted": (
        "test_stateful_resources_are_retained"
    ),
    "Each container gets exactly its secrets": (
        "test_a_container_has_exactly_its_secrets"
    ),
    "Each execution role reads exactly these secrets": (
        "test_the_execution_role_reads_exactly_the_containers_secrets"
    ),
    "SIGTERM reaches Celery alone": "test_sigterm_reaches_celery_alone",
    "A scaled service has no DesiredCount in the template": (
        "test_scaled_services_have_no_desired_count"
    ),
    "Each task role has exactly the permissions in the table": (
        "test_task_roles_have_exactly_these_permissions"
    ),
    "A silent autoscaler is reported": (
        "test_a_missing_heartbeat_notifies_and_scales_nothing"
    ),
    "Tasks that wait while no worker runs are reported": (
        "test_workers_without_tasks_raise_an_alarm"
    ),
    "The scaling login goes to the autoscaler and the migration job only": (
        "test_secrets_follow_airflows_security_model"
    ),
    "Known causes of lost tasks are avoided: signals, counts, protection": (
        "test_pitfall_is_avoided"
    ),
    "Memory and connections of broker and database have alarms": (
        "test_every_critical_metric_has_an_alarm"
    ),
    "All connections together fit into the database": (
        "test_the_sum_of_the_connections_is_shown"
    ),
    "Connections are counted as Aurora counts them": (
        "test_connections_are_counted_as_aurora_counts_them"
    ),
    "Templates stay below nine tenths of every quota": (
        "test_template_may_use_nine_tenths_of_a_quota_and_no_more"
    ),
    "Every role carries the permissions boundary where one is given": (
        "test_roles_carry_a_given_boundary"
    ),
    "Service Catalog launches with its own role": (
        "test_launch_role_is_assumed_by_service_catalog_only"
    ),
    "Built images have immutable tags, are scanned, and encrypted with an own key": (
        "test_built_images_are_immutable_scanned_and_encrypted"
    ),
    "The build of an image reads and writes its own source and repository only": (
        "test_build_reads_one_folder_and_pushes_to_one_repository"
    ),
    "Service Catalog's products can be tagged": "test_tag_needs_key_and_value",
    "Every policy document has a version": "test_policy_actions_exist",
}
"""Controls beyond the numbered ones, and the test that holds each."""


@dataclass(frozen=True)
class Relaxation:
    """Controls that an environment's parameters relax."""

    parameters: tuple[str, ...]
    numbers: tuple[int, ...]
    effect: str


RELAXED: Mapping[str, tuple[Relaxation, ...]] = {
    "dev": (
        Relaxation(("DeletionProtection",), (4, 77), "Deletion is possible"),
        Relaxation(("DatabaseBackupDays",), (5,), "Backups reach back one day"),
        Relaxation(
            ("DatabaseMinCapacity",), (12, 16), "The database scales in further"
        ),
        Relaxation(("EnableDatabaseReader",), (18, 19), "One database instance"),
        Relaxation(("EnableBackup",), (21,), "No copies outside the cluster"),
        Relaxation(
            ("EnableCacheReplica", "EnableCacheFailover"),
            (28, 29, 30),
            "One broker node",
        ),
        Relaxation(
            ("LogDays", "TaskLogDays", "AccessLogDays"), (56,), "Logs expire soon"
        ),
        Relaxation(("InternetAccess",), (62,), "One NAT gateway for all zones"),
        Relaxation(
            ("CertificateArn", "DomainName"), (79, 82), "HTTP inside the network"
        ),
        Relaxation(("EnableExecuteCommand",), (86,), "ECS Exec is on"),
        Relaxation(("ApiServerMinimum",), (117,), "One API server"),
    ),
    "staging": (
        Relaxation(
            ("DatabaseMinCapacity",), (12, 16), "The database scales in further"
        ),
        Relaxation(("EnableBackup",), (21,), "No copies outside the cluster"),
        Relaxation(
            ("LogDays", "TaskLogDays", "AccessLogDays"), (56,), "Logs expire soon"
        ),
        Relaxation(("InternetAccess",), (62,), "One NAT gateway for all zones"),
        Relaxation(
            ("CertificateArn", "DomainName"), (79, 82), "HTTP inside the network"
        ),
        Relaxation(("EnableExecuteCommand",), (86,), "ECS Exec is on"),
    ),
}
"""By environment. A control that is not listed holds there as in production."""


INTRODUCTION = f"""\
# Controls

Generated by `python -m tests.compliance.controls`; a test compares. The tests are in
`tests/compliance/test_controls_*.py`. `mutations.py` there breaks each control once,
and its test must fail.

Each test checks the resolved production environment, and most of them its variants:
internet-facing, with VPC endpoints, in an existing VPC, with ECS Exec, with a read-only
root file system. ● marks a control that no public rule pack checks. For those marked
\\*, see [decision 7]({DECISION})."""


def checks() -> Iterator[tuple[str, Callable[..., None], tuple[int, ...]]]:
    """Yield every test of a control: its name, the function, and the numbers."""
    for path in sorted(HERE.glob("test_controls_*.py")):
        module = importlib.import_module(f"tests.compliance.{path.stem}")
        for name, check in vars(module).items():
            if not isinstance(check, FunctionType) or not name.startswith("test_"):
                continue
            for mark in getattr(check, "pytestmark", []):
                if mark.name == "control":
                    yield name, check, mark.args


def held() -> dict[int, list[str]]:
    """Return the names of the tests by control."""
    names: dict[int, list[str]] = {}
    for name, _, numbers in checks():
        for number in numbers:
            names.setdefault(number, []).append(name)
    return names


def exceptions() -> dict[int, str]:
    """Return the second column of decision 7's table, by control."""
    rows = re.findall(
        r"^\| (\d+) \| ([^|]+) \|", (DOCS / DECISION).read_text(), re.MULTILINE
    )
    return {int(number): text.strip() for number, text in rows}


def reference() -> str:
    """Return the reference as Markdown."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    tests, excepted = held(), exceptions()
    yield INTRODUCTION
    for area in AREAS:
        yield from ("", f"## {area.title}", "")
        yield "| No. | | Setting | Value | Template or module | Test |"
        yield "| --- | --- | --- | --- | --- | --- |"
        for control in area.controls:
            is_excepted = control.number in excepted
            number = f"{control.number}\\*" if is_excepted else control.number
            mark = "●" if control.number in NOT_IN_RULE_PACKS else ""
            names = ", ".join(f"`{name}`" for name in tests.get(control.number, ()))
            value = f"{control.value} | {control.template} | {names or 'decision 7'}"
            yield f"| {number} | {mark} | {control.setting} | {value} |"
    for environment, rows in RELAXED.items():
        yield from ("", f"## Relaxed in {environment}", "")
        yield "| Parameter | Controls | Difference |"
        yield "| --- | --- | --- |"
        for row in rows:
            parameters = ", ".join(f"`{name}`" for name in row.parameters)
            numbers = ", ".join(map(str, row.numbers))
            yield f"| {parameters} | {numbers} | {row.effect} |"
    yield from ("", "## Additional controls", "")
    yield "Those without a test are in the second table of decision 7."
    yield ""
    yield "| Control | Test |"
    yield "| --- | --- |"
    for requirement, test in ADDITIONAL.items():
        yield f"| {requirement} | `{test}` |"


if __name__ == "__main__":
    sys.stdout.write(reference())
