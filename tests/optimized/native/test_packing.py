from dataclasses import fields
from typing import Any

import native_models
import numpy as np
import pytest

from harness.workload.tasks.superglue.boolq import BOOLQ
from optimized.native.layout import Layout
from optimized.native.packing import arrange, pack, unpack
from optimized.native.weights import extract

WIDE, NARROW = Layout(64, 4, 1, 255, 127), Layout(32, 2, 1, 255, 127)
SEVEN_BITS = Layout(32, 2, 4, 127, 64)
EIGHT_INPUTS, FOUR_GROUPS = Layout(32, 2, 1, 255, 127, 8), Layout(32, 2, 4, 255, 127)
"""Those of aarch64 with i8mm and without."""

NAMES = [field.name for field in fields(Layout)]
SIZES = [136, 240]
"""The sizes of structures, which follow a layout's numbers in `encoder_layout`."""


def numbers(layout: Layout) -> list[int]:
    return [*(getattr(layout, name) for name in NAMES), *SIZES]


def described(arrays: dict[str, Any], layout: Layout, *, gated: bool) -> dict[str, Any]:
    """Describe a model whose maps all have 32 inputs and full vectors of outputs, as encoder.json does."""
    structures: list[tuple[int, str, str, Any]] = []
    for name in arrays:
        if name.endswith(".weights"):
            where = name.removesuffix(".weights")
            structures += [(0, name, "array", name), (0, f"{where}.inputs", "i", 32)]
            structures += [(0, f"{where}.outputs", "i", len(arrays[f"{where}.bias"]))]
            structures += [(0, f"{where.rpartition('.')[0]}.gated", "i", int(gated))]
    return {"layout": numbers(layout), "layout_names": NAMES, "structures": structures}


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("layout", [WIDE, NARROW, SEVEN_BITS, EIGHT_INPUTS, FOUR_GROUPS], ids=str)
def test_what_was_packed_is_unpacked(layout: Layout, gated: bool) -> None:
    """Also where neither inputs nor outputs fill vectors and panels."""
    outputs = 6 * layout.lanes if gated else 45
    integers = np.random.default_rng(0).integers(-64, 65, (outputs, 37)).astype(np.float32)
    packed = pack(integers, layout, gated=gated)
    assert np.array_equal(unpack(packed, outputs, 37, layout, gated=gated), integers)


@pytest.mark.parametrize("layout", [NARROW, EIGHT_INPUTS, FOUR_GROUPS], ids=str)
@pytest.mark.parametrize("family", ["modernbert", "xlm-roberta"])
def test_arrays_for_a_narrower_vector_are_those_of_the_checkpoint_itself(family: str, layout: Layout) -> None:
    """Gated maps, whose rows alternate by vectors, and others."""
    model = native_models.model_of(family, BOOLQ, intermediate_size=32)
    model_fields, wide = extract(model, WIDE, "x")
    _, narrow = extract(model, layout, "x")
    arranged = arrange(wide, described(wide, WIDE, gated=model_fields.gated), numbers(layout))
    names = [name for name in narrow if name.endswith((".weights", ".scales", ".scaled_sums"))]
    assert model_fields.gated == (family == "modernbert")
    assert len(names) > 12
    for name in names:
        assert np.array_equal(arranged[name], narrow[name]), name


def test_smaller_integers_are_rounded_again_and_near_the_weights() -> None:
    """Within half a step of 7 bits, and half of one of 8 before."""
    model = native_models.model_of("xlm-roberta", BOOLQ, intermediate_size=32)
    _, wide = extract(model, WIDE, "x")
    arranged = arrange(wide, described(wide, WIDE, gated=False), numbers(SEVEN_BITS))
    weight = model.get_submodule("roberta.encoder.layer.0.output.dense").weight.detach().numpy()
    scales = arranged["layer.0.down.scales"][:32, None]
    restored = unpack(arranged["layer.0.down.weights"], 32, 32, SEVEN_BITS) * scales
    assert np.abs(restored / scales).max() <= 64
    bound = scales / 2 + wide["layer.0.down.scales"][:32, None] / 2
    assert (np.abs(restored - weight) <= bound * 1.001).all()


def test_a_library_of_other_sources_is_refused() -> None:
    """By the sizes of its structures."""
    with pytest.raises(OSError, match=r"was not compiled from csrc/"):
        arrange({}, described({}, NARROW, gated=False), [*numbers(NARROW)[:-1], 999])


def test_a_wider_vector_than_the_arrays_are_padded_to_is_refused() -> None:
    """C would read beyond the end of a row."""
    with pytest.raises(OSError, match="weights for vectors of 8 numbers cannot be arranged for 16"):
        arrange({}, described({}, NARROW, gated=False), numbers(WIDE))
