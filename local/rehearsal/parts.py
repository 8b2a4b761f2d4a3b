"""The parts of a rehearsal, in their order, and what they need of the stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from delivery.dist import Environment
from local.rehearsal import faults
from local.rehearsal.faults.load import DAGS as FAULT_DAGS
from local.rehearsal.proof import Proof
from local.rehearsal.proofs import PROOFS
from local.rehearsal.proofs.dags import DAGS
from local.rehearsal.report import PROVEN
from local.rehearsal.scaling import DAGS as SCALING_DAGS
from local.rehearsal.scaling import SCALING

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
    wanted = {"HasFlower": "true"}
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
