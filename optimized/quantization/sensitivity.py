"""Which operators int8 hurts: each group of matrix products alone in int8, against the whole model in float.

One group at a time rather than all but one, because the errors of groups add up roughly, and next to the
error of all others the one of a single group is hard to see.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from baselines.checkpoints.artifacts import cache_key, find_or_make, library_versions
from baselines.engines.onnx.runtime import GRAPH, copy_text_side
from harness.common.errors import UsageError
from harness.systems.interface import Artifact
from optimized.graphs.candidates import LIBRARIES, CandidateTimer, sha256_of
from optimized.graphs.closeness import equal_answers
from optimized.graphs.matmul_groups import AUTO, chosen, products
from optimized.graphs.transforms import needs_seven_bits, quantise

EXAMPLES = 24
"""Trial examples that each group is tried on: it is an order that is wanted, and every group costs a pass."""

_KIND, _VERSION = "int8-sensitivity", 1


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """What happens when one group alone is in int8: the largest change of a logit, and answers that stay."""

    group: str
    max_logit_difference: float
    equal_answers: float


def sensitivity(parent: Artifact, bench: CandidateTimer) -> tuple[Artifact, list[Sensitivity]]:
    """Return the groups of an fp32 graph, most sensitive first, and the artifact that holds the list.

    Measured with dynamic int8 on the trial examples; UsageError where there are none.
    """
    if not bench.trial:
        raise UsageError(
            "which operators are sensitive is measured on training examples, and there are none.",
            where=bench.name,
            remedy="Name the operators themselves (layer.0.ffn), or use data with a training split.",
        )
    key = cache_key(
        _KIND,
        _VERSION,
        bench.task,
        [parent.key],
        libraries=library_versions(*LIBRARIES),
        reduce_range=needs_seven_bits(),
        max_length=bench.settings.max_length,
        examples=EXAMPLES,
        trial=sha256_of(bench.trial),
    )

    def make(folder: Path) -> dict[str, Any]:
        found = [asdict(each) for each in _measured(parent, folder, bench)]
        return {"recipe": _KIND, "version": _VERSION, "parents": [parent.key], "groups": found}

    artifact = find_or_make(bench.workshop.cache, key, make, energy=bench.workshop.energy)
    return artifact, [Sensitivity(**each) for each in artifact.manifest["groups"]]


def kept_names(
    parent: Artifact, names: Sequence[str], bench: CandidateTimer
) -> tuple[list[str], Mapping[str, Any]]:
    """Return the names with `auto:N` replaced by the N most sensitive groups, and what that rests on.

    The second holds `parents` and `sensitivity` for a manifest, and is empty without an `auto`. UsageError
    for a name that stands for nothing in the parent's graph, or for names that leave nothing to quantise.
    """
    plain = [name for name in names if not AUTO.fullmatch(name)]
    if not names:
        return [], {}
    known = products(parent.folder / GRAPH)
    chosen(known, plain)  # a wrong name is refused before anything is measured
    wanted = [int(auto[1]) for auto in map(AUTO.fullmatch, names) if auto]
    basis: Mapping[str, Any] = {}
    if wanted:
        artifact, found = sensitivity(parent, bench)
        plain += [each.group for each in found[: max(wanted)] if each.group not in plain]
        basis = {"parents": [artifact.key], "sensitivity": [asdict(each) for each in found]}
    if len(chosen(known, plain)) == len(known):
        raise UsageError(
            f"{', '.join(names)} would leave nothing to quantise.",
            where=bench.name,
            remedy="Leave fewer operators in float, or use onnx-fp32.",
        )
    return plain, basis


def _measured(parent: Artifact, folder: Path, bench: CandidateTimer) -> list[Sensitivity]:
    source, probe = parent.folder / GRAPH, folder / "probe.onnx"
    copy_text_side(parent.folder, folder)
    known = products(source)
    groups = list(dict.fromkeys(known.values()))
    trial = bench.trial[:EXAMPLES]
    reference = bench.open(source)
    requests = reference.encode(trial)
    exact = reference.predict(requests)
    reference.close()
    found = []
    for number, group in enumerate(groups, 1):
        bench.workshop.progress(f"trying {group} alone in int8 ({number} of {len(groups)})")
        others = [node for node, its in known.items() if its != group]
        quantise(source, probe, reduce_range=needs_seven_bits(), keep=others)
        system = bench.open(probe)
        rounded = system.predict(requests).logits
        system.close()
        found.append(
            Sensitivity(
                group,
                float(np.max(np.abs(exact.logits - rounded))),
                equal_answers(bench.task, exact.logits, rounded, exact.offsets),
            )
        )
    probe.unlink()
    return sorted(found, key=lambda each: each.max_logit_difference, reverse=True)
