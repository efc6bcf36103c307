"""The ladder `adaptive`: every rung can be prepared from a tiny model, answers, and reports its costs."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tiny

from harness.catalog import load_catalog
from harness.records.ladder import Ladder, parse_ladder
from harness.workload.tasks.superglue.boolq import BOOLQ
from optimized.ladders.rung import variant_of

ADAPTIVE = ("exits", "patience", "tokens", "cascade", "native-cascade")
TINY = {"epochs": 1, "exit_steps": 2, "token_steps": 1}


def adaptive_ladder() -> Ladder:
    """Return the catalog's ladder with very little training."""
    return parse_ladder(load_catalog().ladders["adaptive"], "adaptive", TINY)


def test_every_adaptive_rung_is_compared_with_the_full_model() -> None:
    """So is `half`, the smaller model that competes with each of them; all losses come from one parameter."""
    ladder = adaptive_ladder()
    assert {rung.name: rung.over for rung in ladder.rungs[1:]} == {
        **dict.fromkeys(("half", "exits", "patience", "all-tokens", "tokens", "cascade", "native"), "full"),
        **dict.fromkeys(("native-half", "native-cascade"), "native"),
    }
    engines: dict[str, Any] = {rung.name: variant_of(rung.words()).engine for rung in ladder.rungs}
    assert {engines[name].loss for name in ADAPTIVE} == {0.5}
    assert engines["patience"].criterion == "patience"


def test_every_rung_can_be_prepared_and_answers(tmp_path: Path) -> None:
    """Costs are in layers, tokens or stages; the student `half` has layers of the full model."""
    folder = tiny.tiny_checkpoint(tmp_path / "tiny", num_hidden_layers=4)
    sources = replace(tiny.sources(folder), training=lambda: tiny.examples(40), training_sha256="c" * 64)
    context, costs = tiny.preparation_context(tmp_path / "cache"), {}
    for rung in adaptive_ladder().rungs:
        variant = variant_of(rung.words())
        if reason := variant.unavailable():
            assert rung.optional, reason
            continue
        artifact = variant.prepare(BOOLQ, sources, tiny.SHORT, context)
        system = variant.load(BOOLQ, artifact, tiny.CPU, tiny.SHORT)
        predictions = system.predict(system.encode(tiny.examples(3)))
        assert np.isfinite(predictions.logits).all()
        costs[rung.name] = set(predictions.costs)
        if rung.name in ADAPTIVE:
            assert {"full", "full_seconds", "curve", "chosen"} <= set(artifact.manifest["calibration"])
    tokens = {"tokens", "operations"}
    native = {"native": set(), "native-half": set(), "native-cascade": {"stage"}}
    assert costs == {
        "full": set(),
        "half": set(),
        "exits": {"layers"},
        "patience": {"layers"},
        "all-tokens": tokens,
        "tokens": tokens,
        "cascade": {"stage"},
        **(native if "native" in costs else {}),
    }
