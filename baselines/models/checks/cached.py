"""The check of a checkpoint against transformers, made once for each checkpoint, length and set of texts.

This module imports neither torch nor transformers: a check that is in the cache costs nothing.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from baselines.checkpoints.artifacts import cache_key, find_or_make, library_versions, missing_modules
from harness.common.json_types import JsonObject
from harness.systems.interface import PreparationContext, PreparationSources, Settings
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example, Span, TextInput

CHECK = "check"
"""The field of an artifact's manifest with the facts of the check."""

_RECIPE = "checkpoint check"
_VERSION = 1
_LIBRARIES = ("torch", "transformers", "tokenizers")


def check_checkpoint(
    task: Task, sources: PreparationSources, settings: Settings, context: PreparationContext
) -> JsonObject:
    """Return how far the checkpoint's answers are from transformers' alone, for the manifest of its variants.

    CheckpointError if it gives wrong answers (`baselines/models/checks/comparison.py`). The answers of an
    untrained model mean nothing, and are not compared.
    """
    if not sources.checkpoint.trained:
        return {}
    if missing := missing_modules(*_LIBRARIES):
        return {CHECK: f"unavailable, because it {missing}"}
    checkpoint = sources.checkpoint
    examples = sources.trial or _neutral_examples(task)
    parents = [checkpoint.fingerprint]
    libraries = library_versions(*_LIBRARIES)

    def make(_: Path) -> dict[str, Any]:
        from baselines.models.checks.comparison import compare_with_library

        context.progress(f"checking {checkpoint.name} against transformers")
        facts = compare_with_library(checkpoint.folder, checkpoint.name, examples, settings.max_length)
        return {
            "recipe": _RECIPE,
            "version": _VERSION,
            "parents": parents,
            "libraries": libraries,
            CHECK: facts,
        }

    key = cache_key(
        _RECIPE,
        _VERSION,
        task,
        parents,
        libraries=libraries,
        max_length=settings.max_length,
        texts=_sha256(examples),
    )
    return {CHECK: find_or_make(context.cache, key, make).manifest[CHECK]}


def _sha256(examples: Sequence[Example]) -> str:
    return hashlib.sha256(repr([example.inputs for example in examples]).encode()).hexdigest()


def _neutral_examples(task: Task) -> list[Example]:
    """Return examples of different lengths for a task whose data has no training split."""
    short, long = "The lake is frozen.", "People skate on the lake each year when it is frozen. " * 3
    spans = (Span(4, 8, 0), Span(0, 6, 0)) if task.head == "span" else ()
    texts = (TextInput(long, short, spans), TextInput(f"The lake: {short}", short, spans))
    return [Example(str(number), (text,)) for number, text in enumerate(texts)]
