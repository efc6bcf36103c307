"""The GPU ladders: every rung is a variant, compared with a rung that differs in one respect."""

import pytest

from harness.catalog import load_catalog
from harness.records.ladder import parse_ladder
from harness.studies.untrained_shapes import STUDIES
from optimized.ladders.gpu import GPU, PAPER_GPU


@pytest.mark.parametrize("ladder_config", [GPU, PAPER_GPU], ids=lambda config: str(config["name"]))
def test_every_rung_of_the_gpu_ladders_is_a_variant(ladder_config: dict[str, object]) -> None:
    """Recipes and engines exist, and both ladders are in the catalog under their names."""
    catalog = load_catalog()
    name = str(ladder_config["name"])
    ladder = parse_ladder(catalog.ladders[name], name, {})
    variants = [catalog.rung(rung.words()) for rung in ladder.rungs]
    assert [variant.name for variant in variants] == [rung.name for rung in ladder.rungs]
    assert ladder.rungs[0].engine == "pytorch-fixed"


def test_packed_and_graphs_run_the_model_they_are_compared_with() -> None:
    """The same recipes as the rung they are compared with, on another engine."""
    ladder = parse_ladder(GPU, "gpu", {})
    for model in ("fp16", "distilled", "pruned"):
        for engine in ("packed", "graphs"):
            rung = ladder.rung(f"{model}-{engine}")
            assert rung.over == model
            assert rung.recipes == ladder.rung(model).recipes
            assert rung.engine == f"pytorch-{engine}-fp16"


def test_the_study_of_the_paper_s_shapes_on_a_gpu_uses_the_ladder_paper_gpu() -> None:
    """It starts from the paper's baseline, with 512 tokens."""
    study = STUDIES["paper-gpu"]
    assert (study.ladder, study.model, study.max_length) == ("paper-gpu", "shape:12L-768", 512)
