"""The compiled encoder as a variant: what its manifest and its profile hold, and what it refuses."""

from pathlib import Path

import encoders
import pytest
import tiny
from native_reference import needs_compiler

from baselines.engines.profiles import CLASSES
from harness.common.errors import CheckpointError
from harness.systems.interface import Settings
from harness.workload.tasks.superglue.boolq import BOOLQ
from optimized.native import build
from optimized.native.variant import NativeVariant

LONG = Settings(max_length=128)


@needs_compiler
@pytest.mark.usefixtures("level")
def test_answers_do_not_depend_on_a_batch_and_the_manifest_says_so(boolq_folder: Path, cache: Path) -> None:
    """A scale for each token: what is measured of batch dependence is exactly nothing."""
    shop = tiny.preparation_context(cache)
    manifest = NativeVariant().prepare(BOOLQ, tiny.sources(boolq_folder), tiny.SHORT, shop).manifest
    assert manifest["batch_dependence"]["max_logit_difference"] == 0
    assert 0 < manifest["agreement"]["max_logit_difference"] < manifest["agreement"]["bound"]
    assert manifest["activations"] == "int8, one scale for a token"


@needs_compiler
@pytest.mark.usefixtures("level")
def test_smoothing_can_be_left_out_to_measure_what_it_gives(boolq_folder: Path, cache: Path) -> None:
    """It is another artifact, and the manifest holds the reason."""
    shop, sources = tiny.preparation_context(cache), tiny.sources(boolq_folder)
    smooth = NativeVariant().prepare(BOOLQ, sources, tiny.SHORT, shop)
    plain = NativeVariant(smooth=False).prepare(BOOLQ, sources, tiny.SHORT, shop)
    assert plain.key != smooth.key
    assert plain.manifest["smoothing"] == "none: smooth is false"
    assert smooth.manifest["smoothing"] != plain.manifest["smoothing"]


@needs_compiler
@pytest.mark.usefixtures("level")
def test_its_profile_names_every_class_and_adds_up_to_its_time(boolq_folder: Path, cache: Path) -> None:
    """Linear maps take some, and what it fuses into them (the activation) none of its own."""
    system = tiny.opened(NativeVariant(), BOOLQ, boolq_folder, cache, tiny.SHORT)
    seconds = system.profile(system.encode(tiny.examples(4)))  # type: ignore[attr-defined]
    system.close()
    assert tuple(seconds) == CLASSES
    assert seconds["linears"] > 0
    assert seconds["activation"] == 0


@needs_compiler
def test_an_activation_that_it_does_not_know_is_refused_by_name(tmp_path: Path, cache: Path) -> None:
    """Mish has no code here; the message names what has, before anything is exported."""
    folder = encoders.saved(encoders.model_of("bert", BOOLQ, hidden_act="mish"), tmp_path / "mish")
    with pytest.raises(CheckpointError, match="activation mish is not one of gelu"):
        NativeVariant().prepare(BOOLQ, tiny.sources(folder), LONG, tiny.preparation_context(cache))


def test_a_machine_without_the_instructions_or_a_compiler_is_told_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each with what would change it."""
    monkeypatch.setenv("CC", "no-such-compiler")
    monkeypatch.setattr(build, "PREBUILT", tmp_path)
    assert "needs a C compiler" in str(NativeVariant().unavailable())
    monkeypatch.setattr(build, "flags_here", lambda: frozenset({"sse4_2"}))
    assert NativeVariant().unavailable() == (
        "needs a CPU with AVX2 and FMA, or an ARM CPU with dot products (asimddp)"
    )
