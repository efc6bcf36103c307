"""The serving script by itself: the tokens of the project's own encoder, and plain words for bad requests."""

import hashlib
import io
import json
import shutil
import subprocess
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
from markdown_it import MarkdownIt

from baselines.encoding.tokenizer import TextEncoder
from baselines.engines.onnx.runtime import OnnxVariant
from baselines.export import serve
from baselines.export.engines import onnx_engine
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
            engine=onnx_engine(artifact.folder, {}),
            text=artifact.folder,
            task=task,
            settings=how,
            placement=tiny.CPU,
            checkpoint=replace(tiny.checkpoint_of(folder), trained=trained),
            examples=examples,
            repeatable=[sample, *examples],
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
        for name in ("model.onnx", "tokenizer.json", "engine.py"):
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


def test_the_script_does_not_answer_with_logits_that_are_not_finite(
    served: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A NaN would be answered with the first label."""
    classifier = Classifier(served)
    monkeypatch.setattr(classifier, "_run", lambda batch: np.full((len(batch), 2), np.nan, np.float32))
    with pytest.raises(ValueError, match="not finite numbers"):
        classifier.answer({"first": "the lake", "second": "is it"})


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
        ('{"first": "a", "second": "b", "first": "c"}', 'the field "first" is there twice'),
        ('{"first": null, "second": "b"}', '"first" must be a string'),
        ('{"inputs": []}', "must be a list of at least one object"),
        ('{"inputs": {"first": "a", "second": "b"}}', "must be a list of at least one object"),
        ('{"inputs": ["a"]}', "a sequence must have"),
        ("[1]", "a sequence must have"),
        ("{", "Expecting property name"),
        ('{"first": "\\ud800", "second": "b"}', "half of a character"),
        ('{"inputs": [{"first": "a", "second": "b"}], "first": "c"}', "must have no other field"),
        ("[" * 100_000, "recursion"),
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
        ([[0, 3, 0], [0, 3]], r"must be \[start, end, text\]: .*, got \[0, 3\]"),
        ([[0, 3, 0], [-1, 3, 0]], "0 <= start < end"),
        ([[0, 3, 0], [3, 3, 0]], "0 <= start < end"),
        ([[0, 3, 0], [0, True, 0]], "got .0, true, 0"),
        ([[0, 3, 0], [0, 3, 1]], "of text 0, got"),
        ([[0, 3, 0], [900, 903, 0]], "have no token"),
        ([[0, 3, 0], 7], "a span must be"),
        (None, "must hold 2 spans"),
    ],
)
def test_a_span_that_points_nowhere_is_refused(spanning: Classifier, spans: Any, message: str) -> None:
    """It must not become a wrong answer."""
    with pytest.raises(ValueError, match=message):
        spanning.answer({"first": "the lake is frozen", "spans": spans})


def test_labels_and_names_with_backticks_stay_code_in_the_readme(tmp_path: Path) -> None:
    """Read by a Markdown parser: every label is one span of code, and no tag of HTML is left."""
    labels = ("a`b", "``", "<i>c</i>", "d|e")
    folder = tiny.multi_label_checkpoint(tmp_path / "several", labels)
    exported(folder, tmp_path / "out", task=tiny.multi_label_task(labels=labels))
    parts = [
        part
        for token in MarkdownIt().parse((tmp_path / "out" / "README.md").read_text())
        for part in token.children or ()
    ]
    assert set(labels) <= {part.content for part in parts if part.type == "code_inline"}
    assert [part.content for part in parts if part.type == "html_inline"] == []


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


def test_a_list_of_sequences_gets_a_list_of_labels_for_each(tmp_path: Path) -> None:
    """The second sequence is not answered with the first one's labels."""
    folder = tiny.multi_label_checkpoint(tmp_path / "several", ("winter", "people", "lake"))
    exported(folder, tmp_path / "served", task=tiny.multi_label_task(threshold=0.3))
    classifier = Classifier(tmp_path / "served")
    inputs = [{"first": example.inputs[0].first, "second": "is it"} for example in tiny.examples(6)]
    alone = [classifier.answer(fields) for fields in inputs]
    together = classifier.answer({"inputs": inputs})
    assert together["label"] == [answer["label"] for answer in alone]
    assert len({tuple(label) for label in together["label"]}) > 1


def checked(folder: Path, *options: str) -> tuple[int, str]:
    """Run the folder's script with --check, isolated and from another folder."""
    command = [sys.executable, "-I", "-B", str(folder / "serve.py"), "--check", *options]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder.parent, check=False)
    return done.returncode, done.stdout + done.stderr


def test_the_folder_repeats_its_own_check_where_it_is_moved(served: Path, tmp_path: Path) -> None:
    """Read-only, under another name, with other threads; the count is that of its README."""
    shutil.copytree(served, tmp_path / "moved here")
    count = len((served / "check.jsonl").read_text().splitlines())
    for path in (tmp_path / "moved here").iterdir():
        path.chmod(0o444)
    (tmp_path / "moved here").chmod(0o555)
    code, out = checked(tmp_path / "moved here", "--threads", "2")
    assert (code, out.partition(";")[0]) == (0, f"{count} equal answers of {count}")
    assert f'"{count} equal answers of {count}"' in (served / "README.md").read_text().replace("\n", " ")


@pytest.mark.parametrize(
    ("name", "change"), [("tokenizer.json", b" "), ("engine.py", b"#"), ("model.onnx", None)]
)
def test_a_file_that_was_changed_or_is_gone_is_named(
    served: Path, tmp_path: Path, name: str, change: bytes | None
) -> None:
    """By its hash in the manifest, before the model is loaded."""
    folder = tmp_path / "changed"
    shutil.copytree(served, folder)
    if change is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes((folder / name).read_bytes() + change)
    assert checked(folder) == (1, f"not as manifest.json lists them: {name}\n")


@pytest.mark.parametrize("name", ["model.onnx", "settings.json", "tokenizer.json", "manifest.json"])
def test_a_damaged_file_is_named_where_the_model_cannot_be_loaded(
    served: Path, tmp_path: Path, name: str
) -> None:
    """Also without --check, which alone reads the manifest where all else is sound."""
    folder = tmp_path / "damaged"
    shutil.copytree(served, folder)
    (folder / name).write_text("{")
    if name == "manifest.json":
        assert checked(folder) == (1, f"not as manifest.json lists them: {name}\n")
        return
    command = [sys.executable, "-I", "-B", str(folder / "serve.py")]
    done = subprocess.run(command, input="{}\n", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"not as manifest.json lists them: {name}\n"


def test_answers_that_differ_from_the_check_are_counted(served: Path, tmp_path: Path) -> None:
    """A label or a score; the manifest agrees with the changed file, as if the model answered otherwise."""
    folder = tmp_path / "other"
    shutil.copytree(served, folder)
    rows = [json.loads(line) for line in (folder / "check.jsonl").read_text().splitlines()]
    rows[0]["answer"]["label"] = {"true": "false", "false": "true"}[rows[0]["answer"]["label"]]
    rows[1]["answer"]["scores"]["true"] += 0.5
    (folder / "check.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    manifest = json.loads((folder / "manifest.json").read_text())
    digest = hashlib.sha256((folder / "check.jsonl").read_bytes()).hexdigest()
    manifest["files"]["check.jsonl"]["sha256"] = digest
    (folder / "manifest.json").write_text(json.dumps(manifest))
    code, out = checked(folder)
    count = len(rows)
    assert code == 1
    assert out.startswith(f"{count - 2} equal answers of {count}; {count - 1} equal labels; ")
    assert "the largest difference of a logit is 0.5, " in out


def test_what_optimum_reads_beside_the_graph_holds_no_path(served: Path) -> None:
    """Labels by column, the maximum length, the padding token; `tox -e export` loads it."""
    config = json.loads((served / "config.json").read_text())
    tokenizer = json.loads((served / "tokenizer_config.json").read_text())
    assert config["id2label"] == {"0": "false", "1": "true"}
    assert "_name_or_path" not in config
    assert (tokenizer["model_max_length"], tokenizer["pad_token"]) == (32, "[PAD]")
    assert tokenizer["model_input_names"] == ["input_ids", "token_type_ids", "attention_mask"]
