"""The GPU ladders: every rung can be made, and each is compared with what it changes in one thing."""

import pytest

from harness.catalog import load_catalog
from harness.records.ladder import parse_ladder
from harness.studies.untrained_shapes import STUDIES
from optimized.ladders.gpu import GPU, PAPER_GPU


@pytest.mark.parametrize("words", [GPU, PAPER_GPU], ids=lambda words: str(words["name"]))
def test_every_rung_of_the_gpu_ladders_is_a_variant(words: dict[str, object]) -> None:
    """Recipes and engines are known, and both ladders stand in the catalog under their names."""
    catalog = load_catalog()
    name = str(words["name"])
    ladder = parse_ladder(catalog.ladders[name], name, {})
    made = [catalog.rung(rung.words()) for rung in ladder.rungs]
    assert [variant.name for variant in made] == [rung.name for rung in ladder.rungs]
    assert ladder.rungs[0].engine == "pytorch-fixed"


def test_packed_and_graphs_are_steps_from_the_same_model() -> None:
    """The same recipes as the rung they are compared with, on another engine."""
    ladder = parse_ladder(GPU, "gpu", {})
    for model in ("fp16", "distilled", "pruned"):
        for engine in ("packed", "graphs"):
            rung = ladder.rung(f"{model}-{engine}")
            assert rung.over == model
            assert rung.recipes == ladder.rung(model).recipes
            assert rung.engine == f"pytorch-{engine}-fp16"


def test_the_shapes_of_the_paper_are_measured_on_a_gpu_by_a_ladder_of_its_own() -> None:
    """From the paper's baseline, at its 512 tokens."""
    study = STUDIES["paper-gpu"]
    assert (study.ladder, study.model, study.max_length) == ("paper-gpu", "shape:12L-768", 512)
