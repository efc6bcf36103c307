"""The variant `fastest`: the engine with the lowest time, and the reasons for refusals."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny

from baselines.engines.pytorch import VARIANTS
from harness.common.errors import CheckpointError
from harness.systems.interface import PreparationSources, Settings
from harness.workload.tasks.superglue.boolq import BOOLQ
from optimized.fastest import FastestVariant

FIXED, DYNAMIC = VARIANTS


@dataclass(frozen=True)
class Broken:
    """A variant that cannot prepare this model."""

    name: str = "broken"
    summary: str = ""

    def unavailable(self) -> str | None:
        """Return None: it is installed."""

    def prepare(self, *_rest: Any) -> Any:
        """Raise."""
        raise CheckpointError("answers too far from fp32.", where=self.name)

    load = prepare


@dataclass(frozen=True)
class Missing(Broken):
    """A variant whose engine is not installed."""

    name: str = "missing"

    def unavailable(self) -> str | None:
        """Return the reason."""
        return "needs engine: pip install engine"


def prepared(
    variant: FastestVariant, sources: PreparationSources, cache: Path, times: dict[str, float]
) -> Any:
    """Prepare with these times per request."""
    return variant.prepare(BOOLQ, sources, tiny.SHORT, tiny.preparation_context(cache, times))


@pytest.mark.parametrize(("times", "chosen"), [((2.0, 1.0), 1), ((1.0, 2.0), 0)])
def test_the_engine_with_the_lowest_time_is_chosen(
    boolq_folder: Path, tmp_path: Path, times: tuple[float, float], chosen: int
) -> None:
    """The manifest has the choice, all times, and the refused variants with reasons."""
    names = (FIXED.name, DYNAMIC.name)
    variant = FastestVariant((FIXED, DYNAMIC, Broken(), Missing()))
    artifact = prepared(variant, tiny.sources(boolq_folder), tmp_path, dict(zip(names, times, strict=True)))
    manifest = artifact.manifest
    assert manifest["chosen"] == names[chosen]
    assert manifest["seconds_per_request"] == dict(zip(names, times, strict=True))
    assert "too far from fp32" in manifest["refused"]["broken"]
    assert "pip install engine" in manifest["refused"]["missing"]
    system = variant.load(BOOLQ, artifact, tiny.CPU, tiny.SHORT)
    description = system.describe()
    assert description["chosen"] == names[chosen]
    assert (description["padding"] == "to 32") == (chosen == 0)


def test_it_answers_as_the_chosen_variant_does(boolq_folder: Path, tmp_path: Path) -> None:
    """The same logits in the same order."""
    variant = FastestVariant((DYNAMIC,))
    sources = tiny.sources(boolq_folder)
    examples = tiny.examples(4)
    shop = tiny.preparation_context(tmp_path)
    logits = []
    for candidate in (variant, DYNAMIC):
        artifact = candidate.prepare(BOOLQ, sources, tiny.SHORT, shop)
        system = candidate.load(BOOLQ, artifact, tiny.CPU, tiny.SHORT)
        logits.append(system.predict(system.encode(examples)).logits)
    np.testing.assert_array_equal(*logits)


def test_without_examples_the_first_is_kept_without_times(boolq_folder: Path, tmp_path: Path) -> None:
    """The manifest says that times are unavailable."""
    artifact = prepared(FastestVariant((DYNAMIC, FIXED)), tiny.sources(boolq_folder, 0), tmp_path, {})
    assert artifact.manifest["chosen"] == DYNAMIC.name
    assert "unavailable" in artifact.manifest["seconds_per_request"]


def test_where_every_engine_refuses_the_first_reason_is_raised(boolq_folder: Path, tmp_path: Path) -> None:
    """Where no engine is installed, the reason says how to install the first."""
    with pytest.raises(CheckpointError, match="too far from fp32"):
        prepared(FastestVariant((Broken(), Missing())), tiny.sources(boolq_folder), tmp_path, {})
    assert "pip install engine" in str(FastestVariant((Missing(),)).unavailable())
    assert FastestVariant((Missing(), DYNAMIC)).unavailable() is None


def test_texts_lengths_and_threads_are_part_of_the_key(boolq_folder: Path, tmp_path: Path) -> None:
    """The choice holds only for these."""
    variant = FastestVariant((DYNAMIC, FIXED))
    shop = tiny.preparation_context(tmp_path)
    keys = {
        variant.prepare(BOOLQ, tiny.sources(boolq_folder, trial), Settings(length, 1), shop).key
        for trial, length in ((6, 32), (6, 48), (4, 32))
    }
    two_threads = replace(tiny.preparation_context(tmp_path), placement=replace(tiny.CPU, threads=2))
    keys.add(variant.prepare(BOOLQ, tiny.sources(boolq_folder), tiny.SHORT, two_threads).key)
    assert len(keys) == 4
