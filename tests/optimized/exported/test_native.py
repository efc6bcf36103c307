"""The exported folder of the compiled encoder: its answers are the measured system's, bit by bit."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import encoders
import numpy as np
import pytest
import tiny
from native_reference import needs_compiler

from baselines.export import serve
from baselines.export.package import ExportedVariant, export_package
from baselines.export.serve import Classifier
from baselines.hardware.c_program import compiler, run_command
from harness.common.errors import DeviceError
from harness.systems.interface import Settings
from harness.workload.tasks import get_task
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example
from harness.workload.tasks.superglue.boolq import BOOLQ
from optimized.exported import native
from optimized.exported.registry import engine_files
from optimized.native import build
from optimized.native.levels import compile_command, link_command
from optimized.native.variant import NativeVariant

HOW = Settings(max_length=128)
LEVELS = {level.name: level for level in build.LEVELS}
HERE = [level.name for level in build.LEVELS if level.needs <= build.flags_here()]

pytestmark = needs_compiler


@pytest.fixture(scope="module", autouse=True)
def _unoptimised(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Compile in a quarter of the time, here and in the folders; `tox -e export` tries the real options."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            build, "OPTIONS", tuple("-O0" if option == "-O3" else option for option in build.OPTIONS)
        )
        patch.setattr(build, "PREBUILT", tmp_path_factory.mktemp("none"))
        yield


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache, so that each library is compiled once."""
    return tmp_path_factory.mktemp("cache")


def examples_of(task: Task) -> list[Example]:
    return tiny.task_examples(task) if task.name != "boolq" else tiny.examples(6)


def exported(checkpoint: Path, output: Path, cache: Path, task: Task = BOOLQ) -> dict[str, Any]:
    """Export native-int8 of a checkpoint; return the manifest."""
    variant, context = NativeVariant(), tiny.preparation_context(cache)
    artifact = variant.prepare(task, tiny.sources(checkpoint, task=task), HOW, context)
    return export_package(
        ExportedVariant(
            variant=variant,
            artifact=artifact,
            engine=engine_files(variant, artifact, HOW),
            text=artifact.folder,
            task=task,
            settings=HOW,
            placement=tiny.CPU,
            checkpoint=tiny.checkpoint_of(checkpoint),
            examples=examples_of(task),
            repeatable=examples_of(task),
            instances=1,
            provenance={"made_by": "a test"},
            data="None.",
        ),
        output,
        lambda _text: None,
    )


def measured(checkpoint: Path, cache: Path, task: Task, examples: Sequence[Example]) -> np.ndarray[Any, Any]:
    """Return the logits of the system that bench measures."""
    system = tiny.opened(NativeVariant(), task, checkpoint, cache, HOW)
    try:
        return np.concatenate([system.predict(system.encode([example])).logits for example in examples])
    finally:
        system.close()


def fields_of(text: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {"first": text.first}
    fields |= {} if text.second is None else {"second": text.second}
    return fields | ({"spans": [[s.start, s.end, s.text] for s in text.spans]} if text.spans else {})


def answered(folder: Path, examples: Sequence[Example], threads: int = 1) -> np.ndarray[Any, Any]:
    """Return the logits of the folder's script."""
    classifier = Classifier(folder, threads=threads)
    return np.concatenate(
        [classifier.logits([fields_of(text) for text in example.inputs]) for example in examples]
    )


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a BERT of odd sizes: widths that fill no vector."""
    return tiny.tiny_checkpoint(
        tmp_path_factory.mktemp("model") / "odd",
        hidden_size=36,
        num_attention_heads=3,
        intermediate_size=52,
        max_position_embeddings=128,
    )


@pytest.fixture(scope="module")
def served(checkpoint: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One exported folder for the module."""
    output = tmp_path_factory.mktemp("served") / "boolq"
    exported(checkpoint, output, cache)
    return output


@pytest.mark.parametrize("threads", [1, 2])
def test_answers_are_those_of_the_measured_system_bit_by_bit(
    checkpoint: Path, served: Path, cache: Path, threads: int
) -> None:
    """Whatever the number of threads."""
    examples = tiny.examples(12)
    expected = measured(checkpoint, cache, BOOLQ, examples)
    assert np.array_equal(answered(served, examples, threads), expected)
    assert np.ptp(expected[:, 0]) > 0.01


@pytest.mark.parametrize("name", ["wic", "copa"])
def test_spans_and_choices_are_served_alike(tmp_path: Path, cache: Path, name: str) -> None:
    """Each with the head of its kind."""
    task = get_task(name)
    folder = tiny.task_checkpoint(tmp_path / "model", task)
    assert exported(folder, tmp_path / "served", cache, task)["check"]["max_logit_difference"] == 0
    examples = examples_of(task)
    assert np.array_equal(answered(tmp_path / "served", examples), measured(folder, cache, task, examples))


def test_another_family_is_served_alike(tmp_path: Path, cache: Path) -> None:
    """RoBERTa's positions begin later."""
    folder = encoders.saved(encoders.model_of("roberta", BOOLQ), tmp_path / "model")
    assert exported(folder, tmp_path / "served", cache)["check"]["max_logit_difference"] == 0


def level_only(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let exported engines see a CPU of one level."""
    load = serve.load_module

    def loaded(path: Path) -> ModuleType:
        module = load(path)
        monkeypatch.setattr(module, "_cpu_flags", lambda: set(LEVELS[name].needs))
        return module

    monkeypatch.setattr(serve, "load_module", loaded)


@pytest.mark.parametrize("pair", [("avx512-vnni", "avx-vnni"), ("avx512", "avx2")], ids="-to-".join)
def test_on_a_cpu_of_another_level_the_sources_are_compiled_and_the_weights_arranged(
    tmp_path: Path,
    checkpoint: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    pair: tuple[str, str],
) -> None:
    """Where both levels round alike, answers are those that bench measures at the other, bit by bit."""
    source, target = pair
    if not {source, target} <= set(HERE):
        pytest.skip(f"this CPU has not both of {source} and {target}")
    monkeypatch.setattr(build, "flags_here", lambda: LEVELS[source].needs)
    exported(checkpoint, tmp_path / "served", cache)
    monkeypatch.setattr(build, "flags_here", lambda: LEVELS[target].needs)
    examples = tiny.examples(8)
    expected = measured(checkpoint, cache, BOOLQ, examples)
    level_only(monkeypatch, target)
    assert np.array_equal(answered(tmp_path / "served", examples), expected)


def test_where_integers_are_smaller_the_weights_are_rounded_again(
    checkpoint: Path,
    served: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Answers are near those of the level's own rounding, and stderr says which level is used."""
    if HERE[0] not in ("avx512-vnni", "avx-vnni"):
        pytest.skip("this CPU has no VNNI")
    examples = tiny.examples(8)
    monkeypatch.setattr(build, "flags_here", lambda: LEVELS["avx2"].needs)
    expected = measured(checkpoint, cache, BOOLQ, examples)
    level_only(monkeypatch, "avx2")
    classifier = Classifier(served)
    logits = np.concatenate([classifier.logits([fields_of(example.inputs[0])]) for example in examples])
    assert 0 < np.abs(logits - expected).max() < 0.2 * np.ptp(expected)
    assert "using one for avx2" in capfd.readouterr().err
    assert classifier.engine["level"] == "avx2"


@pytest.mark.skipif(len(HERE) < 2, reason="this CPU has one level")
def test_another_level_of_the_library_is_used_without_a_compiler(
    tmp_path: Path,
    checkpoint: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """As a wheel's library has all: answers are those of sources that are compiled for the level."""
    target = HERE[-1]
    exported(checkpoint, tmp_path / "served", cache)
    examples = tiny.examples(8)
    level_only(monkeypatch, target)
    compiled = answered(tmp_path / "served", examples)
    objects = [tmp_path / f"{name}.o" for name in (HERE[0], target)]
    command = [str(compiler())]
    for path in objects:
        level = LEVELS[path.stem]
        run_command(compile_command(command, level.symbol, level.options, path, build.OPTIONS))
    # a process keeps the library that it loaded under a name
    shutil.copytree(tmp_path / "served", tmp_path / "moved")
    run_command(link_command(command, objects, tmp_path / "moved" / "encoder.so"))
    monkeypatch.setenv("CC", "no-such-compiler")
    assert np.array_equal(answered(tmp_path / "moved", examples), compiled)
    assert f"encoder.so for {HERE[0]} is not used (this CPU lacks" in capfd.readouterr().err


def test_levels_are_described_with_the_width_of_their_vectors(served: Path) -> None:
    """Weights are padded for one width: a level with wider vectors cannot read them."""
    description = json.loads((served / "encoder.json").read_text())
    widths = {level["name"]: level["vector_bytes"] for level in description["levels"]}
    assert widths[description["level"]] == description["layout"][0]
    assert (widths["avx512"], widths["avx2"], widths["i8mm"]) == (64, 32, 32)


def test_without_a_compiler_or_the_instructions_the_message_says_what_is_needed(
    served: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A compiler, and how to do without one here; or another CPU."""
    monkeypatch.setenv("CC", "no-such-compiler")
    load = serve.load_module
    flags: set[str] = set()

    def loaded(path: Path) -> ModuleType:
        module = load(path)
        monkeypatch.setattr(module, "_cpu_flags", lambda: flags)
        return module

    monkeypatch.setattr(serve, "load_module", loaded)
    with pytest.raises(OSError, match=r"needs a CPU with .* or avx2 fma or .*; this one has none of these"):
        Classifier(served)
    flags |= LEVELS[HERE[-1]].needs
    if HERE[-1] != HERE[0]:
        with pytest.raises(OSError, match=r"no C compiler .*install gcc or clang, or run `sh build\.sh`"):
            Classifier(served)


def test_the_build_script_compiles_a_library_that_is_used(
    served: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path, checkpoint: Path
) -> None:
    """It lies beside the one that does not load, for example one for another C library."""
    folder = tmp_path / "moved"
    shutil.copytree(served, folder)
    (folder / "encoder.so").write_bytes(b"not a library")
    level = json.loads((folder / "encoder.json").read_text())["level"]
    done = subprocess.run(["sh", str(folder / "build.sh")], capture_output=True, text=True, check=True)
    assert done.stdout == f"encoder-{level}.so\n"
    monkeypatch.setenv("CC", "no-such-compiler")
    examples = tiny.examples(4)
    assert np.array_equal(answered(folder, examples), measured(checkpoint, cache, BOOLQ, examples))
    wrong = subprocess.run(
        ["sh", str(folder / "build.sh"), "sse"], capture_output=True, text=True, check=False
    )
    assert (wrong.returncode, "got sse" in wrong.stderr) == (2, True)


def test_calls_from_several_threads_do_not_disturb_each_other(served: Path) -> None:
    """C has one set of buffers: calls wait for one another."""
    classifier = Classifier(served, threads=2)
    requests = [fields_of(example.inputs[0]) for example in tiny.examples(24, longest=40)]
    alone = [classifier.answer(request) for request in requests]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(classifier.answer, requests)) == alone


def test_the_folder_needs_only_what_its_requirements_name(served: Path, tmp_path: Path) -> None:
    """The script runs where neither this project nor torch or onnxruntime can be imported."""
    blocked = ("harness", "baselines", "optimized", "torch", "transformers", "onnxruntime", "onnx", "scipy")
    program = (
        "import runpy, sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] in {blocked!r}: raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        f"sys.argv = [{str(served / 'serve.py')!r}, '--check']\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-B", "-c", program], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("the largest difference of a logit is 0, the bound 0.0001\n")
    names = [line.partition("==")[0] for line in (served / "requirements.txt").read_text().splitlines()]
    assert names == ["numpy", "tokenizers", "safetensors"]
    assert not any(os.fspath(served).encode() in path.read_bytes() for path in served.glob("encoder*"))


def test_the_module_is_short_enough_to_read(served: Path) -> None:
    """Each file that runs the encoder has fewer than 210 lines."""
    assert len((served / "engine.py").read_text().splitlines()) < 210
    assert len((served / "packing.py").read_text().splitlines()) < 210


def test_a_pointer_to_memory_that_is_not_exported_is_refused() -> None:
    """A structure that gains one would otherwise be served with whatever lies there."""
    with pytest.raises(DeviceError, match=r"the field layer\.query of the encoder points to memory"):
        native._target(1234, {}, "layer.query")
