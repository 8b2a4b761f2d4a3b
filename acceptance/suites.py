"""The parts of a rehearsal, in their order, and what they need of the stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from acceptance import faults
from acceptance.check import Proof
from acceptance.checks import PROOFS
from acceptance.checks.dags import DAGS
from acceptance.faults.load import DAGS as FAULT_DAGS
from acceptance.report import PROVEN
from acceptance.scaling import DAGS as SCALING_DAGS
from acceptance.scaling import SCALING
from deploy.dist import Environment

FEWEST_WORKERS = "DefaultWorkersMinimum"


@dataclass(frozen=True)
class Part:
    """Proofs that are wanted or left out together."""

    title: str
    proofs: Sequence[Proof]
    option: str = ""
    """What left it out."""


@dataclass(frozen=True)
class Parts:
    """What one rehearsal does."""

    parts: Sequence[Part]
    environment: Mapping[str, str]
    """What every container is told for it."""
    dags: Sequence[Path]
    """Folders of DAG files that lie in the bucket from the beginning."""


def overrides(environment: Environment) -> dict[str, str]:
    """Return what is launched otherwise than an environment says, to be proven at all.

    Flower, which costs a small container; and a worker that does not sleep, because a
    first run is timed from when all is healthy, and waking one up takes longer.
    """
    own = environment.parameters
    wanted = {"EnableFlower": "true"}
    if own.get(FEWEST_WORKERS) == "0":
        wanted[FEWEST_WORKERS] = "1"
    return {name: text for name, text in wanted.items() if own.get(name) != text}


def parts(*, has_faults: bool, has_scaling: bool) -> Parts:
    """Return the parts; one that is not wanted says by which option."""
    return Parts(
        (
            Part(PROVEN, PROOFS),
            Part("faults", faults.FAULTS, "" if has_faults else "--no-faults"),
            Part("scaling", SCALING, "" if has_scaling else "--no-scaling"),
        ),
        faults.ENVIRONMENT if has_faults else {},
        (
            DAGS,
            *((FAULT_DAGS,) if has_faults else ()),
            *((SCALING_DAGS,) if has_scaling else ()),
        ),
    )
