"""The numbered controls: what each demands, and the page that meets it.

``python -m tests.compliance.controls > docs/controls.md`` writes the reference. Which test
holds a control is read from the tests' own markers, which exceptions there are from
decision 7; so neither is written twice.
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

OURS_ALONE = frozenset(
    {
        *(9, 11, 12, 13, 18, 19, 20, 21, 26, 32, 33, 34, 35, 36, 37, 39, 40, 43, 44),
        *(51, 52, 59, 62, 63, 64, 65, 72, 75, 83, 84, 86, 87, 92, 93, 95, 96, 97, 99),
        *(100, 103, 105, 106, 107, 108, 109, 110, 111, 113, 114, 116, 117, 118, 120),
        *(123, 135),
    }
)
"""Controls that no public rule pack notices when they are broken (measured)."""


@dataclass(frozen=True)
class Control:
    """One control: a setting, the value that production has, and where it is made."""

    number: int
    what: str
    value: str
    page: str


@dataclass(frozen=True)
class Area:
    """Controls that are looked at together."""

    title: str
    controls: tuple[Control, ...]


DATABASE = Area(
    "Database",
    (
        Control(1, "Storage is encrypted", "on", "database"),
        Control(2, "Whose key: data, insights, master secret", "ours", "database"),
        Control(3, "TLS", "forced by the server, verify-full in clients", "database"),
        Control(4, "Deletion protection", "on", "database"),
        Control(5, "Point-in-time restore", "7 days or more", "database"),
        Control(6, "Login by IAM token", "possible", "database"),
        Control(7, "PostgreSQL's log", "exported to our own group", "database"),
        Control(8, "Tags on snapshots", "copied", "database"),
        Control(9, "Port", "stated, not 5432", "database"),
        Control(10, "Name of the master user", "not a well-known one", "database"),
        Control(11, "Maintenance and backup windows", "apart", "database"),
        Control(12, "Fewest capacity units", "2 or more", "database"),
        Control(13, "Engine version", "one that can be created", "database"),
        Control(14, "Minor upgrades of each instance", "automatic", "database"),
        Control(15, "Public address", "none", "database"),
        Control(16, "Performance Insights", "on", "database"),
        Control(17, "Metrics of the operating system", "each minute", "database"),
        Control(18, "Instances", "two or more, spread by Aurora", "database"),
        Control(19, "Promotion tier of the reader", "0 or 1", "database"),
        Control(20, "Failovers and failures", "announced", "database"),
        Control(21, "Copies outside the cluster", "AWS Backup", "backup"),
        Control(22, "On deletion", "a snapshot", "database"),
        Control(23, "Master password", "made by RDS", "database"),
    ),
)
BROKER = Area(
    "Broker",
    (
        Control(24, "Encryption at rest", "on", "cache"),
        Control(25, "Encryption in transit", "on", "cache"),
        Control(26, "Plain text", "refused", "cache"),
        Control(27, "Who gets in", "one user of a user group", "cache"),
        Control(28, "Failover", "automatic", "cache"),
        Control(29, "Zones", "several", "cache"),
        Control(30, "Replicas", "one or more", "cache"),
        Control(31, "Snapshots", "daily, and on deletion", "cache"),
        Control(32, "Minor upgrades", "automatic", "cache"),
        Control(33, "Slow log and engine log", "to our own groups", "cache"),
        Control(34, "When memory is full", "noeviction", "cache"),
        Control(35, "Whose key", "ours", "cache"),
        Control(36, "Rights of the user", "nothing dangerous but info", "cache"),
        Control(37, "Shards", "one; never serverless", "cache"),
    ),
)
STORAGE = Area(
    "Secrets, key, buckets, topic and logs",
    (
        Control(38, "Key of each secret", "ours", "credentials, database, cache"),
        Control(
            39,
            "Characters of a secret",
            "no punctuation",
            "generated_login, credentials",
        ),
        Control(40, "Value of a secret", "generated", "generated_login, credentials"),
        Control(41, "Rotation of the key", "yearly", "encryption"),
        Control(42, "Wildcard principals in its policy", "none allowed", "encryption"),
        Control(43, "Services in its policy", "bound to this account", "encryption"),
        Control(44, "Days until the key is gone", "30", "encryption"),
        Control(45, "Public access of buckets", "all four blocks", "storage"),
        Control(46, "Requests without TLS", "denied", "storage"),
        Control(47, "Versions of objects", "kept", "storage"),
        Control(48, "Old versions and lost parts", "expire", "storage"),
        Control(49, "Encryption of buckets", "our key, with a bucket key", "storage"),
        Control(50, "Access to buckets", "logged", "storage"),
        Control(51, "Access lists", "off", "storage"),
        Control(52, "Who writes access logs", "this account's only", "storage"),
        Control(53, "Key of the alarm topic", "ours", "alarm_topic, encryption"),
        Control(54, "Publishers to it", "named services, this account", "alarm_topic"),
        Control(55, "Logs", "expire", "every page with a log"),
        Control(56, "Logs are kept", "365 days or more", "every page with a log"),
        Control(57, "Logs", "under our key, retained", "every page with a log"),
    ),
)
NETWORK = Area(
    "Network",
    (
        Control(58, "Flow logs", "of the VPC", "flow_logs"),
        Control(59, "What they record", "everything", "flow_logs"),
        Control(60, "Public addresses by subnet", "none", "subnets"),
        Control(61, "Who may open the page", "named ranges", "security, rules"),
        Control(62, "NAT gateways", "one a zone, or none", "network"),
        Control(63, "Endpoints without a way out", "all that tasks need", "endpoints"),
        Control(64, "Policy of the way to S3", "ours, and image layers", "network"),
        Control(65, "Private names of endpoints", "on", "endpoints"),
        Control(66, "Who reaches the database", "groups, no ranges", "security"),
        Control(67, "The world to the database", "never", "security"),
        Control(68, "Egress", "named pair by pair", "security"),
        Control(69, "Egress on all ports", "none", "security"),
        Control(70, "HTTPS to the world", "not with endpoints", "security"),
        Control(71, "Every rule", "described, in EC2's letters", "security"),
        Control(72, "Routes out of data subnets", "none", "network"),
    ),
)
WEB = Area(
    "Load balancer and firewall",
    (
        Control(73, "Scheme", "internal by default", "load_balancer"),
        Control(74, "Access logs", "on", "load_balancer"),
        Control(75, "Connection logs", "on", "load_balancer"),
        Control(76, "Invalid headers", "dropped", "load_balancer"),
        Control(77, "Deletion protection", "on", "load_balancer"),
        Control(78, "Desync mitigation", "strictest", "load_balancer"),
        Control(79, "TLS", "1.2 and 1.3", "load_balancer"),
        Control(80, "Firewall", "before a public page", "web_firewall"),
        Control(81, "Its log", "without tokens and cookies", "web_firewall"),
        Control(82, "Plain HTTP", "sent on to HTTPS", "load_balancer"),
        Control(83, "Health check path", "stated", "load_balancer, routes"),
        Control(84, "TLS to the tasks", "see the decision", "load_balancer"),
    ),
)
TASKS = Area(
    "Cluster and tasks",
    (
        Control(85, "Container Insights", "enhanced", "cluster"),
        Control(86, "Shells", "off; encrypted and recorded when on", "cluster"),
        Control(87, "Key of scratch disks", "ours", "cluster"),
        Control(88, "Read-only root", "a switch, with volumes", "fargate"),
        Control(89, "User", "not root", "fargate"),
        Control(90, "User", "stated", "fargate"),
        Control(91, "Privileged containers", "none", "fargate"),
        Control(92, "Linux capabilities", "all dropped", "fargate"),
        Control(93, "Init process", "on", "fargate"),
        Control(94, "Log of each container", "there", "fargate"),
        Control(95, "Health check of each service", "with time to start", "components"),
        Control(96, "Time to stop a worker", "120 s", "components"),
        Control(97, "Time to stop anything", "120 s at most", "components"),
        Control(98, "Memory of each container", "limited", "fargate"),
        Control(99, "Logging", "never blocks", "fargate"),
        Control(100, "Task role", "there", "fargate"),
        Control(101, "Host's processes", "unseen", "fargate"),
        Control(102, "CPU and memory", "a pair that Fargate has", "sizes"),
        Control(103, "Roles", "two a task, shared with no other", "fargate"),
        Control(104, "Variables named like a secret", "none", "environment"),
        Control(105, "URLs with a password", "none", "environment"),
        Control(106, "Secrets", "handed over by ECS", "environment"),
        Control(107, "TLS to the broker", "certificate checked", "environment"),
    ),
)
SERVICES = Area(
    "Services, scaling and alarms",
    (
        Control(108, "Circuit breaker", "on", "fargate"),
        Control(109, "Failed release", "rolled back", "fargate"),
        Control(110, "Deployment alarms", "see the decision", "fargate"),
        Control(111, "Tasks during a deployment", "100 to 200 %", "fargate"),
        Control(112, "Public addresses", "none", "fargate"),
        Control(113, "Zones of a service", "two or more", "fargate"),
        Control(114, "Zone rebalancing", "on; off for workers", "fargate"),
        Control(115, "Platform version", "LATEST", "fargate"),
        Control(116, "Grace behind a load balancer", "longer than a start", "fargate"),
        Control(117, "API servers", "two or more", "api_scaling"),
        Control(118, "Tags for cost", "on tasks too", "fargate"),
        Control(119, "Bounds of scaling", "in order", "scaling, api_scaling"),
        Control(120, "Pause after scaling in", "not none", "scaling, api_scaling"),
        Control(121, "Every alarm", "does something", "monitoring, scaling, backup"),
        Control(122, "Actions of alarms", "on", "monitoring, scaling, backup"),
    ),
)
IAM = Area(
    "Roles and template hygiene",
    (
        Control(123, "Trust policies", "bound to account and source", "assume_role"),
        Control(124, "Wildcards in trust policies", "none", "assume_role"),
        Control(125, "Whole services", "to no role", "permissions"),
        Control(126, "Passing roles", "named roles to one service", "permissions"),
        Control(127, "Reading secrets", "by name", "permissions"),
        Control(128, "Decrypting", "our key, by way of a service", "permissions"),
        Control(129, "Resource *", "only without another form", "permissions"),
        Control(130, "Publishing metrics", "one namespace", "permissions"),
        Control(131, "Actions", "exist", "every page with a policy"),
        Control(132, "Policies", "managed and attached", "fargate, flow_logs"),
        Control(133, "Parameters", "all used", "every page"),
        Control(134, "Partition in ARNs", "never written out", "every page"),
        Control(135, "Physical names", "only where demanded", "every page"),
    ),
)
AREAS = (DATABASE, BROKER, STORAGE, NETWORK, WEB, TASKS, SERVICES, IAM)


@dataclass(frozen=True)
class Further:
    """A control beyond the numbered ones: a test holds it, or decision 7 says who."""

    what: str
    held_by: str


FURTHER = (
    Further(
        "Airflow, Celery and the autoscaler log in as roles of their own, not as the master",
        "test_airflow_celery_the_autoscaler_and_the_master_are_four_users",
    ),
    Further(
        "The master's password reaches the migration job and nothing else",
        "test_the_master_password_goes_to_the_setup_task_alone",
    ),
    Further(
        "A restore from a snapshot is a parameter",
        "test_a_restore_takes_from_the_snapshot_what_aws_refuses_to_be_told",
    ),
    Further(
        "The log group that RDS would make is ours",
        "test_the_log_group_is_ours_before_any_instance_can_log",
    ),
    Further(
        "People make no grants on the key",
        "test_people_cannot_make_grants",
    ),
    Further(
        "The key outlives its stack",
        "test_the_key_outlives_its_stack_and_a_hasty_delete",
    ),
    Further(
        "Each task is handed its secrets, all and no more",
        "test_a_container_is_handed_exactly_its_secrets",
    ),
    Further(
        "Each execution role reads these and no more",
        "test_the_execution_role_reads_exactly_what_is_handed_over",
    ),
    Further(
        "SIGTERM reaches Celery alone",
        "test_sigterm_reaches_celery_alone",
    ),
    Further(
        "A scaled service has no count in the template",
        "test_what_is_scaled_has_no_count_in_the_template",
    ),
    Further(
        "Code in a task may do what the table says, protection included",
        "test_code_in_a_task_may_do_exactly_this",
    ),
    Further(
        "A silent autoscaler is reported",
        "test_a_silent_autoscaler_tells_somebody_and_orders_nothing",
    ),
    Further(
        "Tasks that wait while none runs are reported",
        "test_workers_that_take_nothing_are_reported",
    ),
    Further(
        "The role of scaling reads, and is held by the autoscaler and the migration job alone",
        "test_the_table_is_the_security_model",
    ),
    Further(
        "What made others lose tasks is not set: signals, counts, zones, protection",
        "test_pitfall_is_avoided",
    ),
    Further(
        "Memory and connections of broker and database are watched",
        "test_everything_that_can_stop_the_work_is_watched",
    ),
    Further(
        "All connections together fit into the database",
        "test_the_sum_of_the_connections_is_shown",
    ),
    Further(
        "Connections are counted as Aurora counts them",
        "test_connections_are_counted_as_aurora_counts_them",
    ),
    Further(
        "Templates stay below nine tenths of every quota",
        "test_template_may_use_nine_tenths_of_a_quota_and_no_more",
    ),
    Further(
        "Service Catalog launches with a role of its own",
        "test_only_service_catalog_can_assume_the_launch_role",
    ),
    Further(
        "Service Catalog's form refuses what the parent refuses",
        "test_the_form_refuses_what_the_parent_refuses",
    ),
    Further(
        "Service Catalog's products can be tagged",
        "test_a_tag_has_key_and_value",
    ),
    Further(
        "Every policy document has a version",
        "test_every_policy_states_its_version",
    ),
)


@dataclass(frozen=True)
class Relaxed:
    """Controls that an environment's parameters relax."""

    by: tuple[str, ...]
    numbers: tuple[int, ...]
    what: str


RELAXED: Mapping[str, tuple[Relaxed, ...]] = {
    "dev": (
        Relaxed(("DeletionProtection",), (4, 77), "It may be deleted"),
        Relaxed(("DatabaseBackupDays",), (5,), "Restores reach back one day"),
        Relaxed(("DatabaseMinCapacity",), (12, 16), "The database shrinks further"),
        Relaxed(("EnableDatabaseReader",), (18, 19), "One database instance"),
        Relaxed(("EnableBackup",), (21,), "No copies outside the cluster"),
        Relaxed(("EnableCacheReplica",), (28, 29, 30), "One broker node"),
        Relaxed(("LogDays", "TaskLogDays", "AccessLogDays"), (56,), "Logs expire soon"),
        Relaxed(("InternetAccess",), (62,), "One NAT gateway for all zones"),
        Relaxed(("CertificateArn", "DomainName"), (79, 82), "HTTP inside the network"),
        Relaxed(("EnableExecuteCommand",), (86,), "Shells are allowed"),
        Relaxed(("ApiServerMinimum",), (117,), "One API server"),
    ),
    "staging": (
        Relaxed(("DatabaseMinCapacity",), (12, 16), "The database shrinks further"),
        Relaxed(("EnableBackup",), (21,), "No copies outside the cluster"),
        Relaxed(("LogDays", "TaskLogDays", "AccessLogDays"), (56,), "Logs expire soon"),
        Relaxed(("InternetAccess",), (62,), "One NAT gateway for all zones"),
        Relaxed(("CertificateArn", "DomainName"), (79, 82), "HTTP inside the network"),
        Relaxed(("EnableExecuteCommand",), (86,), "Shells are allowed"),
    ),
}
"""By environment. A control that is not named there holds there as in production."""


def checks() -> Iterator[tuple[str, Callable[..., None], tuple[int, ...]]]:
    """Yield every check with its name and the controls that it holds."""
    for path in sorted(HERE.glob("test_controls_*.py")):
        module = importlib.import_module(f"tests.compliance.{path.stem}")
        for name, check in vars(module).items():
            if not isinstance(check, FunctionType) or not name.startswith("test_"):
                continue
            for mark in getattr(check, "pytestmark", []):
                if mark.name == "control":
                    yield name, check, mark.args


def held() -> dict[int, list[str]]:
    """Return the names of the tests by the controls that they hold."""
    found: dict[int, list[str]] = {}
    for name, _, numbers in checks():
        for number in numbers:
            found.setdefault(number, []).append(name)
    return found


def exceptions() -> dict[int, str]:
    """Return what decision 7 says, in its table's second column, by number."""
    rows = re.findall(
        r"^\| (\d+) \| ([^|]+) \|", (DOCS / DECISION).read_text(), re.MULTILINE
    )
    return {int(number): text.strip() for number, text in rows}


def reference() -> str:
    """Return the reference as Markdown."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    tests, excepted = held(), exceptions()
    yield "# Controls"
    yield ""
    yield "Written by `python -m tests.compliance.controls`; a test compares. The tests are"
    yield "in `tests/compliance/test_controls_*.py`; `mutations.py` beside them breaks each"
    yield "control once to see its test fail."
    yield ""
    yield "Each test looks at the resolved production environment, most of them at its"
    yield "variants too: facing the internet, with endpoints, in an existing VPC, with"
    yield "shells, with a read-only root. ● marks what no public rule pack notices when"
    yield f"it is broken. For what is marked \\*, see [decision 7]({DECISION})."
    for area in AREAS:
        yield from ("", f"## {area.title}", "")
        yield "| No. | | What | Value | Template | Held by |"
        yield "| --- | --- | --- | --- | --- | --- |"
        for each in area.controls:
            number = f"{each.number}\\*" if each.number in excepted else each.number
            mark = "●" if each.number in OURS_ALONE else ""
            names = ", ".join(f"`{name}`" for name in tests.get(each.number, ()))
            value = f"{each.value} | {each.page} | {names or 'the decision'}"
            yield f"| {number} | {mark} | {each.what} | {value} |"
    for environment, rows in RELAXED.items():
        yield from ("", f"## What {environment} relaxes", "")
        yield "| Parameter | Controls | What is different |"
        yield "| --- | --- | --- |"
        for row in rows:
            parameters = ", ".join(f"`{name}`" for name in row.by)
            numbers = ", ".join(map(str, row.numbers))
            yield f"| {parameters} | {numbers} | {row.what} |"
    yield from ("", "## Further controls", "")
    yield "What is not here is in the second table of the decision."
    yield ""
    yield "| What | Held by |"
    yield "| --- | --- |"
    for further in FURTHER:
        yield f"| {further.what} | `{further.held_by}` |"


if __name__ == "__main__":
    sys.stdout.write(reference())
