"""Engines of exported folders that need optional packages: their answers are the measured systems'."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny

from baselines.checkpoints.optional_packages import missing_extra
from baselines.engines.ctranslate2 import CTranslate2Variant
from baselines.engines.openvino import OpenVinoVariant
from baselines.export.engines import ctranslate2_engine, openvino_engine
from baselines.export.package import ExportedVariant, export_package
from harness.systems.interface import Settings
from harness.workload.tasks import get_task

HOW = Settings(max_length=128)


@pytest.mark.parametrize("task_name", ["boolq", "wsc"])
@pytest.mark.parametrize("engine", ["openvino", "ctranslate2"])
def test_the_folder_answers_as_the_system_does(tmp_path: Path, engine: str, task_name: str) -> None:
    """Exactly: the same library computes both; one text or two, labels or spans."""
    if reason := missing_extra(engine):
        pytest.skip(reason)
    variant: Any = (
        OpenVinoVariant("openvino-fp32", "", "f32") if engine == "openvino" else CTranslate2Variant()
    )
    task = get_task(task_name)
    checkpoint = tiny.task_checkpoint(tmp_path / "model", task)
    context = tiny.preparation_context(tmp_path / "cache")
    artifact = variant.prepare(task, tiny.sources(checkpoint, task=task), HOW, context)
    files = (
        openvino_engine(artifact.folder, HOW, "f32")
        if engine == "openvino"
        else ctranslate2_engine(artifact.folder, "float32")
    )
    examples = tiny.task_examples(task)
    manifest = export_package(
        ExportedVariant(
            variant=variant,
            artifact=artifact,
            engine=files,
            text=artifact.folder,
            task=task,
            settings=HOW,
            placement=tiny.CPU,
            checkpoint=replace(tiny.checkpoint_of(checkpoint), trained=True),
            examples=examples,
            repeatable=examples,
            instances=1,
            provenance={"made_by": "a test"},
            data="None.",
        ),
        tmp_path / "served",
        lambda _text: None,
    )
    assert manifest["check"]["max_logit_difference"] == 0
    assert manifest["check"]["requests"] == 2 * len(examples)
