"""The serving script by itself: the tokens of the project's own encoder, and plain words for bad requests."""

import io
import json
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.encoding.tokenizer import TextEncoder
from baselines.engines.onnx.runtime import OnnxVariant
from baselines.export import serve
from baselines.export.package import ExportedVariant, export_package
from baselines.export.serve import Classifier
from harness.common.errors import DataError, StoreError
from harness.systems.interface import Settings
from harness.workload.tasks import get_task
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example, Span, TextInput

LENGTHS = (6, 9, 20, 64)


def exported(
    folder: Path,
    output: Path,
    name: str = "boolq",
    length: int = 32,
    *,
    trained: bool = True,
    task: Task | None = None,
) -> Mapping[str, Any]:
    """Hand over onnx-fp32 of the checkpoint in a folder."""
    task, variant, how = task or get_task(name), OnnxVariant(), Settings(max_length=length)
    artifact = variant.prepare(
        task, tiny.sources(folder, task=task), how, tiny.preparation_context(output.parent / "cache")
    )
    sample, *examples = tiny.task_examples(task) if name != "boolq" else tiny.examples(6)
    return export_package(
        ExportedVariant(
            variant=variant,
            artifact=artifact,
            task=task,
            settings=how,
            placement=tiny.CPU,
            checkpoint=replace(tiny.checkpoint_of(folder), trained=trained),
            examples=examples,
            sample=sample,
            instances=1,
            provenance={"made_by": "a test"},
            data="None.",
        ),
        output,
        lambda _text: None,
    )


@pytest.fixture(scope="module")
def served(boolq_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One exported folder for the module."""
    output = tmp_path_factory.mktemp("served") / "boolq"
    exported(boolq_folder, output)
    return output


@pytest.fixture(scope="module")
def by_length(served: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Classifier]:
    """Load the same model at several maximum lengths."""
    classifiers = {}
    for length in LENGTHS:
        folder = tmp_path_factory.mktemp("length")
        for name in ("model.onnx", "tokenizer.json"):
            (folder / name).write_bytes((served / name).read_bytes())
        config = json.loads((served / "settings.json").read_text())
        (folder / "settings.json").write_text(json.dumps({**config, "max_length": length}))
        classifiers[length] = Classifier(folder)
    return classifiers


@pytest.fixture(scope="module")
def spanning(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    """One served model for spans of a single text."""
    place, task = tmp_path_factory.mktemp("spans"), get_task("wsc")
    exported(tiny.task_checkpoint(place / "model", task), place / "wsc", "wsc", 128)
    return Classifier(place / "wsc")


texts = st.lists(st.sampled_from((*tiny.WORDS, "xy", "Lake!", "")), max_size=40).map(" ".join)


@settings(deadline=None, max_examples=150)
@given(
    first=texts | st.text(max_size=60), second=texts | st.text(max_size=60), length=st.sampled_from(LENGTHS)
)
def test_the_script_makes_the_tokens_that_the_system_was_measured_with(
    boolq_folder: Path, by_length: dict[int, Classifier], first: str, second: str, length: int
) -> None:
    """Whatever the texts, wherever the cut falls."""
    (sequence,) = (
        TextEncoder(boolq_folder, length).encode([Example("0", (TextInput(first, second),))])[0].sequences
    )
    encoding, _ = by_length[length]._encode({"first": first, "second": second})
    assert encoding.ids == sequence.ids.tolist()
    assert encoding.type_ids == sequence.segments.tolist()


@settings(deadline=None, max_examples=60)
@given(first=texts.filter(str.strip), second=texts.filter(str.strip), length=st.sampled_from(LENGTHS))
def test_the_script_finds_spans_where_the_system_does(
    boolq_folder: Path, by_length: dict[int, Classifier], first: str, second: str, length: int
) -> None:
    """The last word of each text, cut texts included; what was cut away is refused by both."""
    ends = [(text.rstrip().rfind(" ") + 1, len(text.rstrip())) for text in (first, second)]
    spans = tuple(Span(start, end, text) for text, (start, end) in enumerate(ends))
    spanned = {"first": first, "second": second, "spans": [[*end, text] for text, end in enumerate(ends)]}
    script = by_length[length]
    script.settings["spans"] = 2
    try:
        requests = TextEncoder(boolq_folder, length).encode(
            [Example("0", (TextInput(first, second, spans),))]
        )
    except DataError:
        with pytest.raises(ValueError, match="have no token within the maximum length"):
            script._encode(spanned)
    else:
        assert tuple(script._encode(spanned)[1]) == requests[0].sequences[0].spans
    finally:
        script.settings["spans"] = 0


def test_requests_of_several_threads_do_not_disturb_each_other(served: Path) -> None:
    """Short ones and ones that are cut, at the same time: the answers are those of one thread."""
    script = Classifier(served, threads=1)
    requests = [{"first": "the lake " * count, "second": "is it frozen"} for count in (1, 40, 3, 90) * 8]
    alone = [script.answer(request) for request in requests]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(script.answer, requests)) == alone


def test_more_candidates_than_fit_one_call_are_scored_in_order(served: Path) -> None:
    """33 sequences are two calls of at most 32; each has the logits it has alone."""
    script = Classifier(served)
    inputs = [{"first": tiny.SENTENCE[: 3 + place], "second": "is it"} for place in range(33)]
    alone = np.concatenate([script.logits([fields]) for fields in inputs])
    np.testing.assert_allclose(script.logits(inputs), alone, atol=1e-5)
    assert np.ptp(alone[:, 0]) > 0.01


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"first": "a"}', "a sequence must have exactly these fields: first, second"),
        ('{"first": "a", "second": "b", "third": "c"}', "exactly these fields"),
        ('{"first": "a", "second": "b", "spans": [[0, 1, 0]]}', "exactly these fields"),
        ('{"first": "a", "second": 1}', '"second" must be a string'),
        ('{"first": null, "second": "b"}', '"first" must be a string'),
        ('{"inputs": []}', "must be a list of at least one object"),
        ('{"inputs": {"first": "a", "second": "b"}}', "must be a list of at least one object"),
        ('{"inputs": ["a"]}', "a sequence must have"),
        ("[1]", "a sequence must have"),
        ("{", "Expecting property name"),
        ('{"first": "\\ud800", "second": "b"}', "must be str"),
    ],
)
def test_a_request_of_another_form_is_refused_and_the_next_is_answered(
    served: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str, message: str
) -> None:
    """One answer a line, blank lines aside; exit code 1 at the end."""
    good = '{"first": "the lake", "second": "is it"}'
    lines = io.BytesIO(f"{line}\n\n{good}".encode())
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=lines))
    monkeypatch.setattr(sys, "argv", ["serve.py", "--threads", "1"])
    monkeypatch.setattr(serve, "Classifier", lambda threads: Classifier(served, threads))
    assert serve.main() == 1
    refused, answered = map(json.loads, capsys.readouterr().out.splitlines())
    assert message in refused["error"]
    assert answered["label"] in ("false", "true")


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        ([[0, 3, 0]], "must hold 2 spans"),
        ([[0, 3, 0], [0, 3]], "missing 1 required positional argument"),
        ([[0, 3, 0], [-1, 3, 0]], "convert negative"),
        ([[0, 3, 0], [900, 903, 0]], "have no token"),
        ([[0, 3, 0], 7], "after \\* must be an iterable"),
    ],
)
def test_a_span_that_points_nowhere_is_refused(spanning: Classifier, spans: list[Any], message: str) -> None:
    """It must not become a wrong answer."""
    with pytest.raises((ValueError, TypeError, OverflowError), match=message):
        spanning.answer({"first": "the lake is frozen", "spans": spans})


def test_an_untrained_model_says_so_in_its_readme(boolq_folder: Path, tmp_path: Path) -> None:
    """Its answers mean nothing."""
    exported(boolq_folder, tmp_path / "out", trained=False)
    assert "never trained" in (tmp_path / "out" / "README.md").read_text()


def test_a_folder_that_came_to_be_meanwhile_is_not_written_over(boolq_folder: Path, tmp_path: Path) -> None:
    """Of two exports to one folder the first to end is kept, whole."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "theirs").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        exported(boolq_folder, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["theirs"]
    assert list(tmp_path.glob(".out-*")) == []


def test_a_served_model_with_any_number_of_labels_lists_those_that_hold(tmp_path: Path) -> None:
    """By the threshold of the export, in the task's order; the check compares them with the system's."""
    folder = tiny.multi_label_checkpoint(tmp_path / "several", ("winter", "people", "lake"))
    task = tiny.multi_label_task(threshold=0.3)
    facts = exported(folder, tmp_path / "served", task=task)
    assert facts["check"]["equal_answers"]
    classifier = Classifier(tmp_path / "served")
    seen = set()
    for example in tiny.examples(12, longest=20):
        text = example.inputs[0]
        answer = classifier.answer({"first": text.first, "second": text.second})
        assert list(answer["scores"]) == ["lake", "winter", "people"]
        holds = [label for label, score in answer["scores"].items() if 1 / (1 + np.exp(-score)) >= 0.3]
        assert answer["label"] == holds
        seen.add(tuple(holds))
    assert len(seen) > 2
    page = (tmp_path / "served" / "README.md").read_text()
    assert "`label` is a list of the labels that hold" in page
    assert "sigmoid(score) is at least 0.3" in page
