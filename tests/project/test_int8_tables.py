"""The commands behind the tables of docs/explanation/int8.md measure what they say."""

import re
from dataclasses import replace
from pathlib import Path

import encoders
import numpy as np
import pytest
import tiny
import torch
from devtools import answers
from devtools.int8 import exporters, smoothing
from devtools.int8.subject import Changes, Subject, mpnet_as_bert, spaced, with_fitted_head
from devtools.int8.units import FORMS, Form, maps_of, rounded
from devtools.results_pages import RESULTS
from sequences import sequence

from baselines.encoding.batching import pad
from baselines.models.classifier import load_classifier, runner
from harness.records.store import Store
from harness.systems.interface import Settings
from harness.workload.tasks.superglue.boolq import BOOLQ

SETTINGS = Settings(max_length=48, batch=1)


def subject(folder: Path, cache: Path) -> Subject:
    return Subject(BOOLQ, folder, tuple(tiny.examples(20)), tuple(tiny.examples(9)), SETTINGS, cache)


def test_changes_are_counted_by_hand(tmp_path: Path) -> None:
    """Centred logits are -1, 1, 3 and their negatives: the spread of each label is 2; one answer turns."""
    exact = np.array([[-1, 1], [1, -1], [3, -3]], np.float32)
    rounded_logits = np.array([[-1, 1], [-1, 1], [3, -3]], np.float32)
    changes = subject(tmp_path, tmp_path).changes(exact, rounded_logits)
    error = np.sqrt((4 + 4) / 6) / 2
    assert changes == Changes(2.0, pytest.approx(4 / 6), pytest.approx(error), 2, 3)
    moved = subject(tmp_path, tmp_path).changes(exact, exact + 5)
    assert (moved.largest, moved.error, moved.equal) == (5, 0, 3)  # what moves all labels alike is no change


def test_a_map_is_rounded_as_its_form_says() -> None:
    """One unit is a hundred times the others: the error is at most half a step of a token's span."""
    torch.manual_seed(0)
    linear, states = torch.nn.Linear(64, 8), torch.randn(5, 7, 64)
    states[..., 3] *= 100
    largest, exact = states.abs().flatten(0, -2).amax(0), linear(states)

    def error(form: Form, kind: str = "down") -> float:
        with torch.no_grad():
            return float((rounded(linear, kind, form, largest)(states) - exact).square().mean().sqrt())

    assert error(Form("", weights=False, inputs=False)) < 1e-4
    assert error(Form("", floats=("down",))) == 0
    assert error(Form("", floats=("up",))) == error(Form(""))
    step = (states.amax(-1) - states.amin(-1)).max() / 255
    assert 0 < error(Form("", weights=False)) <= float(step / 2 * linear.weight.detach().abs().sum(1).max())
    assert error(Form("", group=32)) < error(Form(""))
    assert error(Form("", columns=1)) < error(Form("")) / 10
    assert error(Form("", columns=1), "up") == error(Form(""))
    assert error(Form("", smoothed=("down",))) < error(Form(""))


def test_each_map_of_a_layer_is_rounded_once() -> None:
    """ModernBERT's queries, keys and values are one map, gates and what they multiply another."""
    kinds = [kind for kind, _ in maps_of(encoders.model_of("modernbert", BOOLQ))]
    assert kinds == ["query", "out", "gate", "down"] * encoders.LAYERS
    kinds = [kind for kind, _ in maps_of(encoders.model_of("albert", BOOLQ))]
    assert kinds == ["query", "key", "value", "out", "up", "down"]
    assert {kind for form in FORMS for kind in form.floats} <= {
        "query",
        "key",
        "value",
        "out",
        "gate",
        "up",
        "down",
    }


def test_planted_units_leave_the_answers_and_need_gates() -> None:
    """A gated unit of a hundred times its size is read by weights of a hundredth."""
    inputs = pad([sequence(20, seed=1)], 0)
    model = encoders.model_of("eurobert", BOOLQ)
    before = runner(model)(inputs)
    smoothing.plant(model, 3)
    np.testing.assert_allclose(runner(model)(inputs), before, rtol=1e-4, atol=1e-5)
    with pytest.raises(SystemExit, match="needs gated units"):
        smoothing.plant(encoders.model_of("bert", BOOLQ), 3)


def test_a_head_is_fitted_to_the_labels(tmp_path: Path) -> None:
    """Long texts from short ones, which random labels do not tell apart: most answers are right."""
    folder = encoders.saved(encoders.model_of("bert", BOOLQ), tmp_path / "encoder")
    examples = [
        replace(one, gold=(("false", "true")[len(one.inputs[0].first) > 90],)) for one in tiny.examples(60)
    ]
    fitted = with_fitted_head(folder, tmp_path / "fitted", BOOLQ, examples, SETTINGS)
    model, one = load_classifier(fitted), subject(fitted, tmp_path)
    logits = np.concatenate([runner(model)(pad([each], 0)) for each in one.sequences(examples)])
    answers = BOOLQ.decide(logits, np.arange(61))
    assert sum(answer == each.gold[0] for answer, each in zip(answers, examples, strict=True)) > 50


def test_an_mpnet_without_its_relative_bias_is_a_bert(tmp_path: Path) -> None:
    """Where that bias is 0, both have the same states."""
    from transformers import AutoModel

    encoder = encoders.model_of("mpnet", BOOLQ).base_model
    torch.nn.init.zeros_(encoder.encoder.relative_attention_bias.weight)
    folder = mpnet_as_bert(encoders.saved(encoder, tmp_path / "mpnet"), tmp_path / "bert")
    ids = torch.from_numpy(sequence(20, seed=1).ids)[None]
    with torch.no_grad():
        states = [model(input_ids=ids)[0] for model in (encoder, AutoModel.from_pretrained(folder).eval())]
    torch.testing.assert_close(states[1], states[0], rtol=1e-4, atol=1e-4)


def test_examples_are_at_equal_distances() -> None:
    """All of them, where there are no more."""
    assert [one.id for one in spaced(tiny.examples(10), 3)] == ["0", "3", "6"]
    assert len(spaced(tiny.examples(2), 3)) == 2


def test_the_newer_exporter_without_its_package_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no dependency: the command names it."""
    monkeypatch.setattr(exporters.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(SystemExit, match="needs onnxscript"):
        next(exporters.table(tmp_path))


def test_the_table_of_equal_answers_is_made_from_the_records() -> None:
    """The page has it as the command prints it."""
    page = (RESULTS.parent / "docs" / "explanation" / "int8.md").read_text(encoding="utf-8")
    (run,) = re.findall(r"devtools\.answers (\S+)", page)
    assert "\n".join(answers.table(run, "pytorch-dynamic", Store(RESULTS))) in page
