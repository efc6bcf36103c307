"""The recipe of the embedded encoder: a tiny BERT trained from scratch on all generated tasks at once.

One trunk serves every task. Its classifier on the first token and its classifier on two spans have a row
for each label of each task, and the loss of a lesson looks only at the rows of its own task, or at the
candidates of its own choice. What makes it learn within minutes on two cores:

- attention that starts mimetic (`scratch_model.py`), so that equal tokens attend to each other at once;
- short texts before long ones, BoolQ before the other tasks, and batches of similar length; the tasks of
one or
  two sentences on their own for a while, since in a mixture WSC and WiC stayed at chance;
- a learning rate of 5e-4 with warm-up and linear decay: at 1e-3 the same start learned nothing in 600 steps,
  at 4e-4 it answered 94 % of short texts after 300.
"""

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from baselines.checkpoints.artifacts import cpu_has_bf16
from baselines.checkpoints.embedded import unpack
from baselines.checkpoints.folder import read_config
from baselines.checkpoints.labels import label_columns
from baselines.encoding.batching import Batching
from baselines.encoding.tokenizer import TextEncoder
from baselines.models.transformers_settings import quiet_transformers
from baselines.training.datasets import TrainingProgress
from baselines.training.scratch.data import (
    BATCH,
    MAX_LENGTH,
    Lesson,
    Settings,
    Source,
    Stage,
    build_tokenizer,
    examples_of,
    heads,
    plan,
)
from harness.common.errors import UsageError
from harness.workload.tasks import SUPERGLUE, TASKS, get_task
from harness.workload.tasks.base import Task, reported_split
from harness.workload.tasks.example import Example

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from baselines.training.scratch.model import SharedTrunk

TOKENIZER_CONFIG = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "model_max_length": MAX_LENGTH,
    "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
    **{f"{role}_token": f"[{role.upper()}]" for role in ("pad", "unk", "cls", "sep", "mask")},
}
_SHORT = {"copa": 10_000, "wic": 30_000, "wsc": 12_000}
_AGAIN = {"copa": 5_000, "wic": 6_000, "wsc": 3_000}
STAGES = (
    Stage({"boolq": 20_000}, 3),
    Stage(_SHORT, None),
    Stage(_SHORT, None),
    Stage({"boolq": 10_000, "cb": 15_000, "rte": 12_000, "multirc": 1_500, "record": 2_000, **_AGAIN}, 3),
    Stage({"boolq": 15_000, "cb": 15_000, "rte": 12_000, "multirc": 1_500, "record": 2_000, **_AGAIN}, 5),
    Stage({"boolq": 40_000, "cb": 15_000, "rte": 20_000, "multirc": 2_500, "record": 3_000, **_AGAIN}, 7),
    Stage({"boolq": 45_000, "cb": 15_000, "rte": 20_000, "multirc": 2_500, "record": 3_000, **_AGAIN}, None),
)


def train_embedded(
    output: Path,
    *,
    data: Source,
    stages: Sequence[Stage] = STAGES,
    settings: Settings | None = None,
    progress: Callable[[TrainingProgress], None] = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Any]:
    """Train the embedded encoder on `data` into the folder `output` and return what its `training.json` says.

    Work lies in `<output>.part`; a training that was cut off goes on from its last checkpoint there if the
    plan is the same, and the output appears when it is complete. The quality is that of the weights as
    stored, over the whole of each val split. UsageError if the output exists.
    """
    if output.exists():
        raise UsageError(f"{output} exists.", remedy="Name another folder with --output, or remove this one.")
    started = clock()
    settings = settings or settings_here()
    record = _plan_record(data, stages, settings)
    part = _prepare_part(output.with_name(f"{output.name}.part"), record)
    finished, tokenizer = part / "finished", build_tokenizer(data)
    batches = plan(data, tokenizer, stages, settings.seed)
    model, facts = _run(part, tokenizer.get_vocab_size(), batches, settings, (progress, clock))
    _save(finished, model, tokenizer)
    record |= {**facts, "quality": quality(finished, data), "seconds": round(clock() - started)}
    _write_json(finished / "training.json", record)
    finished.replace(output)
    shutil.rmtree(part)
    return record


def settings_here(seed: int = 0) -> Settings:
    """Return the recipe's settings on this CPU: bfloat16 where it has instructions for it."""
    return Settings(seed=seed, bf16=cpu_has_bf16())


def _run(
    part: Path,
    vocabulary: int,
    batches: Sequence[Sequence[Lesson]],
    settings: Settings,
    watched_by: tuple[Callable[[TrainingProgress], None], Callable[[], float]],
) -> "tuple[SharedTrunk, dict[str, Any]]":
    """Train from the start or from the last checkpoint; return the model and what is known only now."""
    import torch

    from baselines.training.callbacks import ProgressCallback
    from baselines.training.scratch.model import make_trainer, new_model

    resumed = any(part.glob("checkpoint-*"))
    with quiet_transformers():
        model, watch = new_model(vocabulary, settings.seed), ProgressCallback(part, *watched_by)
        trainer = make_trainer(model, batches, part, settings, watch)
        trainer.train(resume_from_checkpoint=resumed or None)
    return trainer.model, {
        "steps": trainer.state.global_step,
        "threads": torch.get_num_threads(),
        "resumed": resumed,
    }


def _prepare_part(part: Path, record: dict[str, Any]) -> Path:
    """Keep the work folder of an earlier training with the same settings, or start a new one."""
    written = part / "plan.json"
    wanted = json.dumps(record, indent=2) + "\n"
    if part.exists() and not (written.is_file() and written.read_text(encoding="utf-8") == wanted):
        shutil.rmtree(part)
    part.mkdir(parents=True, exist_ok=True)
    written.write_text(wanted, encoding="utf-8")
    return part


def quality(
    shipped: Path, data: Source, limit: int | None = None, tasks: Sequence[str] = tuple(TASKS)
) -> dict[str, dict[str, float]]:
    """Score a folder in the shipped form on these tasks, unpacked as users get it: n, and metrics."""
    scores = {}
    for task in map(get_task, tasks):
        examples = examples_of(task, data.rows(task.name, reported_split(task), limit))
        with tempfile.TemporaryDirectory() as scratch:
            answers = _answers(task, unpack(shipped, task.model_task, Path(scratch) / task.name), examples)
        scores[task.name] = {"n": len(examples), **task.scoring(examples, answers)}
    return scores


def _answers(task: Task, folder: Path, examples: Sequence[Example]) -> list[str]:
    from baselines.models.classifier import load_classifier, runner

    encoder = TextEncoder(folder, MAX_LENGTH)
    columns = label_columns(read_config(folder), task, folder.name)
    run = runner(load_classifier(folder))
    found = Batching(BATCH, encoder.pad_id, columns).answer(encoder.encode(examples), run)
    return task.decide(found.logits, found.offsets)


def _plan_record(data: Source, stages: Sequence[Stage], settings: Settings) -> dict[str, Any]:
    """Gather what a person needs to make the weights again."""
    sums = {task: {split: data.fingerprint(task, split) for split in ("train", "val")} for task in heads()}
    return {
        "recipe": "baselines/training/scratch/pretrain.py",
        "data": {"version": data.VERSION, "fingerprints": sums},
        "stages": [asdict(stage) for stage in stages],
        "seed": settings.seed,
        "batch": BATCH,
        "learning_rate": settings.learning_rate,
        "warmup_steps": settings.warmup_steps,
        "bf16": settings.bf16,
        "versions": {name: version(name) for name in ("torch", "transformers", "tokenizers", "safetensors")},
    }


def _save(folder: Path, model: "SharedTrunk", tokenizer: "Tokenizer") -> None:
    """Write weights as float16, and the files that say how to read them."""
    from safetensors.torch import save_file

    folder.mkdir(exist_ok=True)
    weights = {name: tensor.half().contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt", "stored_as": "float16"})
    names = [f"{task.name}/{label}" for task in SUPERGLUE if task.head != "span" for label in task.labels]
    config = model.config.to_dict() | {
        "architectures": ["BertForSequenceClassification"],
        "dtype": "float16",
        "id2label": dict(enumerate(names)),
        "label2id": {name: row for row, name in enumerate(names)},
    }
    _write_json(folder / "config.json", config)
    _write_json(folder / "heads.json", heads())
    (folder / "model.safetensors").chmod(0o644)  # safetensors makes it private
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    _write_json(folder / "tokenizer_config.json", TOKENIZER_CONFIG)


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
