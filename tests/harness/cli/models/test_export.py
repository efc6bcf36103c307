import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import tiny
from worlds import World, boolq_folder

from baselines.engines.onnx.runtime import OnnxVariant
from harness.catalog import Catalog, load_catalog
from harness.cli.app import call
from harness.systems.interface import (
    Artifact,
    Placement,
    Predictions,
    PreparationContext,
    PreparationSources,
    Request,
    Settings,
    System,
)
from harness.testing.world import FakeMachine
from harness.workload import synthetic
from harness.workload.tasks import TASKS, get_task
from harness.workload.tasks.base import Task

FILES = {
    *("model.onnx", "tokenizer.json", "settings.json", "manifest.json"),
    *("README.md", "LICENSES.md", "requirements.txt", "requirements-http.txt", "check.jsonl"),
    *("serve.py", "serve_http.py", "engine.py", "config.json", "tokenizer_config.json"),
}

# what a clean environment has not: this project, and all that only it needs
ALONE = """
import runpy, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {known!r}:
            raise ModuleNotFoundError(f"{{name}} is not in a clean environment")
sys.meta_path.insert(0, Absent())
try:
    import harness
except ModuleNotFoundError:
    sys.argv = {script!r}
    runpy.run_path(sys.argv[0], run_name="__main__")
else:
    sys.exit("this project can be imported: nothing is shown")
"""
OURS = ("harness", "baselines", "optimized", "reports", "torch", "transformers", "onnx", "pydantic", "scipy")


class RealWorld(World):
    """A world whose variants are the real ones, in this process, with one cache for the module."""

    def __init__(self, root: Path, cache: Path, *odd: Any) -> None:
        super().__init__(root)
        known = load_catalog()
        self.catalog: Catalog = replace(known, variants={**known.variants, **{one.name: one for one in odd}})
        self.machine = FakeMachine(self.catalog, self.clock)
        self.cache = cache


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache, so that a graph is exported once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a random BERT for BoolQ, whose answers differ from row to row."""
    folder = tmp_path_factory.mktemp("models")
    tiny.tiny_checkpoint(folder / "boolq", max_position_embeddings=64)
    return folder


def export(world: World, *words: str) -> int:
    return call(["export", *words, "--threads", "1", "-q"], world.context())


def boolq(world: World, checkpoints: Path, variant: str = "onnx-fp32") -> list[str]:
    """Return the words that export a variant of the BoolQ model, checked on rows of which half are cut."""
    data = ["--data", str(boolq_folder(world.root, 40)), "--split", "val", "--max-length", "32"]
    return [variant, *data, "--model", str(checkpoints / "boolq"), "-o", str(world.root / "served" / "boolq")]


def served(folder: Path, requests: Sequence[Any], *, elsewhere: Path) -> list[Any]:
    """Ask the script on its own: isolated, from another folder, with nothing of this project at hand."""
    program = ALONE.format(known=OURS, script=[str(folder / "serve.py")])
    done = subprocess.run(
        [sys.executable, "-I", "-c", program],
        input="".join(json.dumps(request) + "\n" for request in requests),
        capture_output=True,
        text=True,
        cwd=elsewhere,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def request(inputs: Sequence[Any], *, grouped: bool) -> dict[str, Any]:
    """Write a request as docs/howto/export.md has it, by hand rather than by the code that is tested."""
    rows = []
    for text in inputs:
        row: dict[str, Any] = {"first": text.first}
        row |= {} if text.second is None else {"second": text.second}
        row |= {"spans": [[span.start, span.end, span.text] for span in text.spans]} if text.spans else {}
        rows.append(row)
    return {"inputs": rows} if grouped else rows[0]


def decided(task: Task, answer: dict[str, Any]) -> str:
    """Return an answer of the script as the task's own."""
    if isinstance(answer["label"], list):
        return "".join(str(task.labels.index(label)) for label in answer["label"])
    return str(answer["label"])


def left_behind(world: World) -> list[str]:
    return [path.name for path in (*world.root.glob(".boolq*"), *world.root.glob("served"))]


def test_an_exported_folder_answers_alone_as_bench_predict_does(
    tmp_path: Path, cache: Path, checkpoints: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In an environment without this project, torch and transformers; every row of the split."""
    world = RealWorld(tmp_path, cache)
    words = boolq(world, checkpoints)
    assert export(world, *words) == 0
    out = capsys.readouterr().out
    folder = tmp_path / "served" / "boolq"
    assert out.startswith("onnx-fp32 of boolq for boolq, ")
    assert "Checked: serve.py gives the system's answers to 67 requests; " in out
    assert {path.name for path in folder.iterdir()} == FILES
    predict = ["predict", "-q", "--variant", *words[:-1], str(tmp_path / "said"), "--threads", "1"]
    assert call(predict, world.context()) == 0
    rows = [json.loads(line) for line in (tmp_path / "said" / "BoolQ.jsonl").read_text().splitlines()]
    task = get_task("boolq")
    examples = task.read(tmp_path / "data" / "BoolQ" / "val.jsonl", labelled=True)
    asked = [request(example.inputs, grouped=False) for example in examples]
    answers = served(folder, asked, elsewhere=tmp_path)
    assert task.answer_rows(examples, [decided(task, answer) for answer in answers]) == rows
    assert len({answer["scores"]["true"] for answer in answers}) > 10, (
        "answers that are all alike show nothing"
    )


@pytest.mark.parametrize("name", ["wic", "wsc", "copa", "multirc", "record"])
def test_every_kind_of_task_is_served_as_it_is_predicted(
    tmp_path: Path, cache: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Spans, one sentence, choices, several answers a question."""
    world, task = RealWorld(tmp_path, cache), TASKS[name]
    tiny.task_checkpoint(tmp_path / "model", task)
    place = tmp_path / "data" / task.folder
    place.mkdir(parents=True)
    rows = list(synthetic.rows(name, "val", 3))
    (place / "val.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ["--task", name, "--data", str(tmp_path / "data"), "--split", "val", "--max-length", "128"]
    words += ["--model", str(tmp_path / "model")]
    assert export(world, "onnx-fp32", *words, "-o", str(tmp_path / "served"), "--json") == 0
    assert json.loads(capsys.readouterr().out)["check"]["max_logit_difference"] <= 1e-4
    assert (
        call(["predict", *words, "-o", str(tmp_path / "said"), "-q", "--threads", "1"], world.context()) == 0
    )
    said = (tmp_path / "said" / f"{task.folder}.jsonl").read_text().splitlines()
    examples = task.read(place / "val.jsonl", labelled=True)
    grouped = name in ("copa", "multirc", "record")
    asked = [request(example.inputs, grouped=grouped) for example in examples]
    answers = [decided(task, one) for one in served(tmp_path / "served", asked, elsewhere=tmp_path)]
    assert task.answer_rows(examples, answers) == [json.loads(line) for line in said]


def test_a_task_of_ones_own_is_served_with_its_labels(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the user's order, which is not the checkpoint's; none of the user's texts is in the folder."""
    world = RealWorld(tmp_path, cache)
    tiny.tiny_checkpoint(tmp_path / "model", ["good", "bad", "so-so"], seed=3)
    rows = [{"review": f"{word} the lake", "stars": "good"} for word in tiny.WORDS]
    (tmp_path / "r.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ["--task", "custom", "--data", str(tmp_path / "r.jsonl"), "--text", "review", "--labels"]
    words += ["bad,so-so,good", "--model", str(tmp_path / "model"), "--max-length", "32"]
    assert export(world, "onnx-fp32", *words, "-o", str(tmp_path / "served")) == 0
    capsys.readouterr()
    settings = json.loads((tmp_path / "served" / "settings.json").read_text())
    assert (settings["labels"], settings["columns"]) == (["bad", "so-so", "good"], [1, 2, 0])
    (answer,) = served(tmp_path / "served", [{"first": "the lake"}], elsewhere=tmp_path)
    assert answer["label"] == max(answer["scores"], key=answer["scores"].get)
    pages = "".join(
        (tmp_path / "served" / name).read_text() for name in FILES if name.endswith((".md", ".json"))
    )
    assert "frozen the lake" not in pages


@pytest.mark.parametrize("truncate", ["first", "second"])
def test_pairs_of_ones_own_are_cut_where_the_option_names(
    tmp_path: Path, cache: Path, truncate: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the folder as in the run; a folder without a test file is checked on val."""
    world = RealWorld(tmp_path, cache)
    tiny.tiny_checkpoint(tmp_path / "model", ["bad", "good"], seed=3)
    (tmp_path / "rows").mkdir()
    rows = [{"a": "the lake " * 30, "b": f"{word} frozen " * 9, "stars": "good"} for word in tiny.WORDS]
    for split in ("train", "val"):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / "rows" / f"{split}.jsonl").write_text(text)
    words = ["--task", "custom", "--data", str(tmp_path / "rows"), "--text", "a,b", "--label", "stars"]
    words += ["--labels", "bad,good", "--truncate", truncate, "--model", str(tmp_path / "model")]
    assert export(world, "onnx-fp32", *words, "--max-length", "32", "-o", str(tmp_path / "served")) == 0
    assert "the system's answers to" in capsys.readouterr().out
    settings = json.loads((tmp_path / "served" / "settings.json").read_text())
    assert settings["truncate"] == truncate
    manifest = json.loads((tmp_path / "served" / "manifest.json").read_text())
    assert manifest["checked_on"]["split"] == "val"


def test_the_folder_says_what_it_is_and_holds_no_path(
    tmp_path: Path, cache: Path, checkpoints: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Hashes and base names only, also inside the graph; the sums of the manifest are those of the files."""
    import hashlib

    world = RealWorld(tmp_path, cache)
    assert export(world, *boolq(world, checkpoints), "--json") == 0
    folder = tmp_path / "served" / "boolq"
    facts = json.loads((folder / "manifest.json").read_text())
    assert {**facts, "folder": str(folder)} == json.loads(capsys.readouterr().out)
    assert facts["model"]["name"] == "boolq"
    assert facts["artifact"]["manifest"]["recipe"] == "onnx-fp32"
    assert facts["checked_on"]["split"] == "val"
    assert set(facts["files"]) == FILES - {"manifest.json"}
    for name, known in facts["files"].items():
        assert known["sha256"] == hashlib.sha256((folder / name).read_bytes()).hexdigest()
    for path in folder.iterdir():
        content = path.read_bytes()
        assert not any(
            str(place).encode() in content for place in (tmp_path, cache, checkpoints, Path.home())
        )
    settings = json.loads((folder / "settings.json").read_text())
    pins = dict(line.split("==") for line in (folder / "requirements.txt").read_text().splitlines())
    assert pins == {name: settings["libraries"][name] for name in ("numpy", "tokenizers", "onnxruntime")}
    licences = (folder / "LICENSES.md").read_text()
    assert "- `boolq`: unknown: ask whoever trained it." in licences


def test_the_readme_shows_a_request_and_the_answer_it_gets(
    tmp_path: Path, cache: Path, checkpoints: Path
) -> None:
    """What stands there as JSON is what the script says."""
    world = RealWorld(tmp_path, cache)
    assert export(world, *boolq(world, checkpoints)) == 0
    folder = tmp_path / "served" / "boolq"
    lines = (folder / "README.md").read_text().splitlines()
    asked, answer = (json.loads(line) for line in lines if line.startswith("{"))
    assert served(folder, [asked], elsewhere=tmp_path) == [answer]


def test_a_variant_without_an_exported_form_is_refused_before_anything_is_prepared(
    tmp_path: Path, checkpoints: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message has the reason, and names what can be exported; the cache stays empty."""
    world = RealWorld(tmp_path, tmp_path / "cache")
    assert export(world, *boolq(world, checkpoints, "pytorch-dynamic")) == 2
    err = capsys.readouterr().err
    assert "pytorch-dynamic cannot be exported, because it runs in PyTorch" in err
    assert "Export one of onnx-fp32, " in err
    assert not world.cache.exists()
    assert export(world, *boolq(world, checkpoints, "onnx-fp23")) == 2
    assert "Did you mean onnx-fp32" in capsys.readouterr().err
    assert export(world, *boolq(world, checkpoints, "onnx-fp32"), "--set", "student=minilm") == 2
    assert "--set: a parameter needs its ladder" in capsys.readouterr().err
    assert left_behind(world) == []


def test_an_output_that_is_there_is_refused_before_anything_is_made(
    tmp_path: Path, checkpoints: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder with something in it, or a file; an empty folder is taken."""
    world = RealWorld(tmp_path, tmp_path / "cache")
    output = tmp_path / "served" / "boolq"
    output.mkdir(parents=True)
    (output / "mine").write_text("")
    assert export(world, *boolq(world, checkpoints)) == 2
    assert "exists already and is not an empty folder" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert export(world, *boolq(world, checkpoints)[:-1], str(tmp_path / "file")) == 2
    assert export(world, *boolq(world, checkpoints)[:-1], str(tmp_path / "file" / "below")) == 4
    assert "cannot create a folder here" in capsys.readouterr().err
    assert not world.cache.exists()
    (output / "mine").unlink()
    assert export(world, *boolq(world, checkpoints)) == 0
    assert {path.name for path in output.iterdir()} == FILES


class Off:
    """A system whose logits are not those of its graph."""

    def __init__(self, system: System, by: float) -> None:
        self._system, self._by = system, by

    def encode(self, examples: Any) -> Any:
        return self._system.encode(examples)

    def predict(self, requests: Sequence[Request]) -> Predictions:
        found = self._system.predict(requests)
        return replace(found, logits=found.logits + self._by)

    def describe(self) -> Any:
        return self._system.describe()

    def close(self) -> None:
        self._system.close()


@dataclass(frozen=True)
class OffVariant:
    """onnx-fp32 whose system answers otherwise than its graph."""

    name: str
    by: float
    summary: str = "off"

    def unavailable(self) -> None:
        return None

    def prepare(
        self, task: Task, sources: PreparationSources, settings: Settings, context: PreparationContext
    ) -> Artifact:
        return OnnxVariant().prepare(task, sources, settings, context)

    def load(self, task: Task, artifact: Artifact, placement: Placement, settings: Settings) -> System:
        return Off(OnnxVariant().load(task, artifact, placement, settings), self.by)


def test_a_folder_that_would_answer_otherwise_is_never_left(
    tmp_path: Path, cache: Path, checkpoints: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A logit that differs by a thousandth is too much; nothing is there afterwards, not even in part."""
    world = RealWorld(tmp_path, cache, OffVariant("off", 1e-3), OffVariant("rounded", 1e-6))
    assert export(world, *boolq(world, checkpoints, "off")) == 2
    assert "does not answer as the system does: logits differ by 0.001" in capsys.readouterr().err
    assert left_behind(world) == []
    assert export(world, *boolq(world, checkpoints, "rounded")) == 0


def test_a_script_that_cannot_run_leaves_nothing(
    tmp_path: Path, cache: Path, checkpoints: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    """Its last words are told."""
    world = RealWorld(tmp_path, cache)
    assert export(world, *boolq(world, checkpoints)) == 0  # preparation copies files, too
    shutil.rmtree(tmp_path / "served")
    monkeypatch.setattr(shutil, "copyfile", lambda _source, target: Path(target).write_text("{}"))
    assert export(world, *boolq(world, checkpoints)) == 2
    assert "serve.py answered 0 of 67 requests" in capsys.readouterr().err
    assert left_behind(world) == []
