"""Measures how sensitive each group of matrix products is to int8: that group alone, against fp32.

One group is quantised at a time, rather than all but one: the errors of groups roughly add up, so that the
error of a single group would disappear in the sum of all others.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from baselines.checkpoints.artifacts import cache_key, find_or_make, library_versions
from baselines.engines.onnx.runtime import GRAPH, copy_text_side
from harness.common.errors import UsageError
from harness.common.json_types import JsonObject
from harness.systems.interface import Artifact
from optimized.graphs.candidates import LIBRARIES, CandidateTimer, sha256_of
from optimized.graphs.closeness import equal_answers
from optimized.graphs.matmul_groups import AUTO, matmul_groups, select_nodes
from optimized.graphs.transforms import needs_seven_bits, quantise

EXAMPLES = 24
"""Trial examples per group: few, since only the order of groups is needed and each costs a pass."""

_KIND, _VERSION = "int8-sensitivity", 1


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """The effect of one group alone in int8: largest change of a logit, and share of equal answers."""

    group: str
    max_logit_difference: float
    equal_answers: float


def sensitivity(parent: Artifact, timer: CandidateTimer) -> tuple[Artifact, list[Sensitivity]]:
    """Return the groups of an fp32 graph, most sensitive first, and the artifact that holds the list.

    Measured with dynamic int8 on the trial examples; UsageError where there are none.
    """
    if not timer.trial:
        raise UsageError(
            "keep_float: auto:N is measured on training examples, and the data has none.",
            where=timer.name,
            remedy="Name the operators instead (layer.0.ffn), or use data with a training split.",
        )
    key = cache_key(
        _KIND,
        _VERSION,
        timer.task,
        [parent.key],
        libraries=library_versions(*LIBRARIES),
        reduce_range=needs_seven_bits(),
        max_length=timer.settings.max_length,
        examples=EXAMPLES,
        trial=sha256_of(timer.trial),
    )

    def make(folder: Path) -> JsonObject:
        groups = [asdict(group) for group in _measure(parent, folder, timer)]
        return {"recipe": _KIND, "version": _VERSION, "parents": [parent.key], "groups": groups}

    artifact = find_or_make(timer.context.cache, key, make, energy=timer.context.energy)
    return artifact, [Sensitivity(**group) for group in artifact.manifest["groups"]]


def resolve_keep_float(
    parent: Artifact, names: Sequence[str], timer: CandidateTimer
) -> tuple[list[str], JsonObject]:
    """Return the names with `auto:N` replaced by the N most sensitive groups, and its manifest entries.

    The entries are `parents` and `sensitivity`, or none without an `auto`. UsageError for a name that selects
    no node of the parent's graph, or for names that leave no product to quantise.
    """
    plain = [name for name in names if not AUTO.fullmatch(name)]
    if not names:
        return [], {}
    node_groups = matmul_groups(parent.folder / GRAPH)
    select_nodes(node_groups, plain)  # an unknown name is refused before the measurement
    counts = [int(auto[1]) for auto in map(AUTO.fullmatch, names) if auto]
    facts: JsonObject = {}
    if counts:
        artifact, groups = sensitivity(parent, timer)
        plain += [group.group for group in groups[: max(counts)] if group.group not in plain]
        facts = {"parents": [artifact.key], "sensitivity": [asdict(group) for group in groups]}
    if len(select_nodes(node_groups, plain)) == len(node_groups):
        raise UsageError(
            f"keep_float {', '.join(names)} leaves no operator to quantise.",
            where=timer.name,
            remedy="Leave fewer operators in float, or use onnx-fp32.",
        )
    return plain, facts


def _measure(parent: Artifact, folder: Path, timer: CandidateTimer) -> list[Sensitivity]:
    source, probe = parent.folder / GRAPH, folder / "probe.onnx"
    copy_text_side(parent.folder, folder)
    node_groups = matmul_groups(source)
    groups = list(dict.fromkeys(node_groups.values()))
    trial = timer.trial[:EXAMPLES]
    reference = timer.open(source)
    requests = reference.encode(trial)
    exact = reference.predict(requests)
    reference.close()
    sensitivities = []
    for number, group in enumerate(groups, 1):
        timer.context.progress(f"measuring {group} alone in int8 ({number} of {len(groups)})")
        others = [node for node, other in node_groups.items() if other != group]
        quantise(source, probe, reduce_range=needs_seven_bits(), keep=others)
        system = timer.open(probe)
        rounded = system.predict(requests).logits
        system.close()
        sensitivities.append(
            Sensitivity(
                group,
                float(np.max(np.abs(exact.logits - rounded))),
                equal_answers(timer.task, exact.logits, rounded, exact.offsets),
            )
        )
    probe.unlink()
    return sorted(sensitivities, key=lambda entry: entry.max_logit_difference, reverse=True)
