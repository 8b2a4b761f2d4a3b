"""Worker pools: the settings of one, and the pools that ``pools.json`` lists.

A field of :class:`WorkerPool` is a setting: its parameter, its default, its bounds and
its way to the pool's nested stacks, which take the record whole. Each pool of the file
becomes a nested ``workers`` stack and a nested ``scaling`` stack. CloudFormation allows
200 parameters a template, so fifty pools must fix most of their settings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from troposphere import MAX_PARAMETERS, AWSHelperFn, Equals, Not

from compiler.interfaces import Leaf, fill, leaves
from compiler.values import FileValue, V, Value
from compiler.wiring import (
    Record,
    Template,
    WiringError,
    about,
    check_settings,
    choose,
    parameter_value,
    title,
)
from fargate_runtime import contract
from templates.airflow.fargate_sizes import PROXY_MEMORY
from templates.airflow.pool_file import PoolEntry, read
from templates.types import (
    EGRESS,
    GROUP_ID,
    NONE,
    POLICY,
    ROLE,
    Architecture,
    Boolean,
    ComparedCount,
    Count,
    CpuUnits,
    DagEgress,
    Gibibytes,
    Mebibytes,
    OptionalSeconds,
    Percent,
    PolicyArns,
    QueueName,
    RoleArns,
    ScalingProfile,
    SecurityGroupIds,
    Text,
)

FILE = Path(__file__).parents[2] / "pools.json"

AUTOSCALER = "autoscaler"
"""Tag of the settings that the autoscaler reads, each under its field's name."""

PROFILE_TARGETS = contract.TARGET_START_SECONDS
PROFILE_DELAYS = contract.SCALE_IN_DELAY_SECONDS


class WorkerPool(Record):
    """The settings of one worker pool."""

    name: Text = about("Name of the pool.", tags=[AUTOSCALER])
    queue: QueueName = about("Celery queue that the pool serves.", tags=[AUTOSCALER])
    cpu: CpuUnits = about(
        "CPU units of one worker; 1024 are one vCPU.",
        label="CPU",
        Default=2048,
    )
    memory: Mebibytes = about(
        "Memory of one worker in MiB, of which the Service Connect proxy takes "
        f"{PROXY_MEMORY}.",
        label="Memory",
        Default=4096,
    )
    concurrency: Count = about(
        "Task instances that one worker runs at once.",
        label="Concurrency",
        tags=[AUTOSCALER],
        Default=8,
        MinValue=1,
    )
    architecture: Architecture = about(
        "Processor of the workers; the image must be built for it.",
        label="Processor",
        Default="X86_64",
    )
    spot_percent: Percent = about(
        "Share of the workers on Fargate Spot in percent. AWS stops such a worker "
        "at two minutes' notice, so only for tasks that are safe to retry.",
        label="Spot share",
        Default=0,
    )
    minimum: Count = about(
        "Fewest workers; 0 lets the pool scale to zero.",
        label="Fewest workers",
        tags=[AUTOSCALER],
        Default=1,
    )
    maximum: Count = about(
        "Most workers.",
        label="Most workers",
        tags=[AUTOSCALER],
        Default=10,
        MinValue=1,
    )
    fallback_minimum: ComparedCount = about(
        "Workers to scale out to while the autoscaler does not report; 0 for none.",
        label="Fallback minimum",
        Default="1",
    )
    scaling_profile: ScalingProfile = about(
        "Whether waiting time or cost matters more: balanced keeps a few slots free "
        "for tasks that nothing announced, economy lets those wait for a worker to "
        "start.",
        label="Scaling profile",
        tags=[AUTOSCALER],
        Default=contract.BALANCED,
    )
    target_start_seconds: OptionalSeconds = about(
        "Seconds a task may wait for its start. Empty for the profile's own: "
        f"{PROFILE_TARGETS[contract.BALANCED]} balanced, "
        f"{PROFILE_TARGETS[contract.ECONOMY]} economy.",
        label="Target start",
        tags=[AUTOSCALER],
        Default="",
    )
    scale_in_delay_seconds: OptionalSeconds = about(
        "Seconds for which fewer workers must suffice before one is drained. Empty "
        f"for the profile's own: {PROFILE_DELAYS[contract.BALANCED]} balanced, "
        f"{PROFILE_DELAYS[contract.ECONOMY]} economy.",
        label="Scale-in delay",
        tags=[AUTOSCALER],
        Default="",
    )
    predictive_scaling: Boolean = about(
        "Whether workers start for tasks that the database only announces: cron "
        "runs that are due and the next stages of runs.",
        label="Predictive scaling",
        tags=[AUTOSCALER],
        Default="true",
    )
    ephemeral_storage_gib: Gibibytes = about(
        "Ephemeral storage of one worker in GiB.",
        label="Ephemeral storage",
        Default=30,
        MinValue=21,
        MaxValue=200,
    )
    dag_egress: DagEgress = about(
        "TCP ports and ranges that the tasks of the pool may connect to, instead of "
        "DagEgress. Empty for DagEgress, none for no entry at all.",
        label="DAG egress",
        Default="",
        AllowedPattern=rf"^({NONE}|{EGRESS})?$",
        ConstraintDescription="Ports and an IPv4 range, such as 5432-5439 "
        "10.20.0.0/16, separated by commas; none; or nothing. 0.0.0.0/0 takes a single "
        "port.",
    )
    dag_security_group_ids: SecurityGroupIds = about(
        "Further security groups of the workers, at most four, instead of "
        "DagSecurityGroupIds. Empty for DagSecurityGroupIds, none for none.",
        label="Further security groups",
        Default="",
        AllowedPattern=rf"^({NONE}|{GROUP_ID})?$",
        ConstraintDescription="Security group IDs such as sg-0123456789abcdef0, "
        "separated by commas; none; or nothing.",
    )
    extra_policy_arns: PolicyArns = about(
        "Managed policies of the workers' role, instead of ExtraPolicyArns. Empty for "
        "ExtraPolicyArns, none for none.",
        label="Extra policies",
        Default="",
        AllowedPattern=rf"^({NONE}|{POLICY})?$",
        ConstraintDescription="ARNs of managed policies separated by commas; none; or "
        "nothing.",
    )
    assumable_role_arns: RoleArns = about(
        "Roles that the workers may assume, instead of AssumableRoleArns. Empty for "
        "AssumableRoleArns, none for none.",
        label="Assumable roles",
        Default="",
        AllowedPattern=rf"^({NONE}|{ROLE})?$",
        ConstraintDescription="ARNs of roles such as "
        "arn:aws:iam::123456789012:role/Reader, separated by commas; none; or nothing.",
    )


Setting = str | int | bool | None
"""A setting in Python; ``None`` is an empty parameter."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Pool:
    """An entry of the table: one worker pool, fed by one Celery queue.

    Its settings are parameters, with the defaults of :class:`WorkerPool` or with those
    in ``defaults``. The settings in ``fixed`` are no parameters.
    """

    name: str
    queue: str
    defaults: Mapping[str, Setting] = field(default_factory=dict)
    fixed: Mapping[str, Setting] = field(default_factory=dict)

    @property
    def where(self) -> str:
        """The entry's name in messages."""
        return f"the {self.name} pool in {FILE.name}"

    @property
    def prefix(self) -> str:
        """The beginning of its parameters' names."""
        return f"{self.name}_workers_"

    @property
    def all_fixed(self) -> dict[str, Setting]:
        """Every setting that is no parameter."""
        return {"name": self.name, "queue": self.queue, **self.fixed}

    def worker_pool(self, t: Template) -> WorkerPool:
        """Return the pool's settings, and declare their parameters in the parent."""
        room = MAX_PARAMETERS - len(t.parameters)
        needed = sum(leaf.name not in self.all_fixed for leaf in leaves(WorkerPool))
        if needed > room:
            raise WiringError(
                self.where,
                f"it has {needed} parameters, and the template has room for {room} of "
                f"{MAX_PARAMETERS}",
                "Name those of this and other pools that stay parameters, such as "
                '"Parameters": ["Minimum", "Maximum"]',
            )
        return t.settings(
            WorkerPool,
            prefix=self.prefix,
            group=f"Workers of the {self.name} pool, queue {self.queue}",
            where=self.where,
            defaults=self.defaults,
            fixed=self.all_fixed,
        )

    def file_values(self) -> WorkerPool:
        """Return the pool's settings as checks of parameter files take them."""

        def value(leaf: Leaf) -> Value:
            if leaf.name not in self.all_fixed:
                return leaf.kind(FileValue(name=title(self.prefix + leaf.name)))
            return leaf.kind(
                FileValue(
                    name=f"{leaf.name} of {self.where}",
                    text=str(parameter_value(self.all_fixed[leaf.name])),
                    is_fixed=True,
                )
            )

        return fill(WorkerPool, value)


def all_but(*parameters: str) -> dict[str, Setting]:
    """Return every setting with its default, to be fixed, but for ``parameters``."""
    return {
        leaf.name: leaf.notes["properties"]["Default"]
        for leaf in leaves(WorkerPool)
        if "Default" in leaf.notes["properties"] and leaf.name not in parameters
    }


def own_or(t: Template, own: V, common: V) -> V:
    """Return a setting of a pool, or the environment's where the pool has none."""
    if isinstance(own.data, AWSHelperFn):
        has_own = t.condition(
            f"Has{own.data.data['Ref']}", Not(Equals(own.crossing(), ""))
        )
        return choose(has_own, own, common)
    if not own.data:
        return common
    return type(own)(own.data.split(","), crossing=own.data)


def check_pools(pools: tuple[Pool, ...]) -> None:
    """Raise WiringError where the table contradicts itself.

    The messages are those of the autoscaler, which refuses the same.
    """
    faults = [] if pools else ["there is no pool; name at least one"]
    for what, values in (
        ("name", Counter(pool.name for pool in pools)),
        ("queue", Counter(pool.queue for pool in pools)),
    ):
        faults += [
            f"{count} pools have the {what} {value!r}; their demand is the same"
            for value, count in values.items()
            if count > 1
        ]
    if faults:
        raise WiringError(
            "the table of pools",
            "; ".join(faults),
            f"Correct {FILE.name}",
        )
    for pool in pools:
        check_settings(
            WorkerPool, where=pool.where, defaults=pool.defaults, fixed=pool.all_fixed
        )


def read_pools(path: Path) -> tuple[Pool, ...]:
    """Return the pools of a file. Raises Failure."""
    settings = {
        title(leaf.name): leaf
        for leaf in leaves(WorkerPool)
        if leaf.name not in ("name", "queue")
    }

    def values(entry: PoolEntry) -> dict[str, Setting]:
        return {
            settings[name].name: _setting(settings[name], text)
            for name, text in entry.settings.items()
        }

    def pool(entry: PoolEntry) -> Pool:
        own = values(entry)
        if entry.parameters is None:
            return Pool(name=entry.name, queue=entry.queue, defaults=own)
        parameters = [settings[name].name for name in entry.parameters]
        return Pool(
            name=entry.name,
            queue=entry.queue,
            defaults={name: own[name] for name in parameters if name in own},
            fixed={
                name: own.get(name, value)
                for name, value in all_but(*parameters).items()
            },
        )

    entries = read(path, known=tuple(settings), default_queue=contract.DEFAULT_QUEUE)
    return tuple(pool(entry) for entry in entries)


def _setting(leaf: Leaf, text: str) -> Setting:
    """Return a number where CloudFormation takes one; a check refuses another text."""
    return int(text) if leaf.kind.type == "Number" and text.isdecimal() else text


POOLS = read_pools(FILE)
