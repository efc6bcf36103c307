"""The recipe of the embedded encoder: a tiny BERT trained from scratch on all generated tasks at once.

All tasks share one trunk. The classifier on the first token and the classifier on two spans have a row for
each label of each task; the loss of an item uses only the rows of its task, or the candidates of its choice.
It learns within minutes on two cores because of

- mimetic initialisation of attention (`model.py`), by which equal tokens attend to each other from the start;
- short texts before long ones, BoolQ before the other tasks, and batches of similar length. Tasks of one or
  two sentences are trained separately for a while, since in a mixture WSC and WiC stayed at chance;
- a learning rate of 5e-4 with warm-up and linear decay. At 1e-3 the same model learned nothing in 600 steps,
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
    MultiTaskItem,
    PretrainingSettings,
    Source,
    Stage,
    build_tokenizer,
    label_rows,
    parse_examples,
    plan_batches,
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
_SHORT_TASKS = {"copa": 10_000, "wic": 30_000, "wsc": 12_000}
_REPEATED = {"copa": 5_000, "wic": 6_000, "wsc": 3_000}
STAGES = (
    Stage({"boolq": 20_000}, 3),
    Stage(_SHORT_TASKS, None),
    Stage(_SHORT_TASKS, None),
    Stage({"boolq": 10_000, "cb": 15_000, "rte": 12_000, "multirc": 1_500, "record": 2_000, **_REPEATED}, 3),
    Stage({"boolq": 15_000, "cb": 15_000, "rte": 12_000, "multirc": 1_500, "record": 2_000, **_REPEATED}, 5),
    Stage({"boolq": 40_000, "cb": 15_000, "rte": 20_000, "multirc": 2_500, "record": 3_000, **_REPEATED}, 7),
    Stage(
        {"boolq": 45_000, "cb": 15_000, "rte": 20_000, "multirc": 2_500, "record": 3_000, **_REPEATED}, None
    ),
)


def train_embedded(
    output: Path,
    *,
    data: Source,
    stages: Sequence[Stage] = STAGES,
    settings: PretrainingSettings | None = None,
    progress: Callable[[TrainingProgress], None] = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Any]:
    """Train the embedded encoder on `data` into the folder `output`; return the content of training.json.

    Work in progress is in `<output>.part`. A training that was interrupted resumes from its last checkpoint
    there if the plan is the same. The output appears when it is complete. The quality is that of the stored
    weights, over the whole val split of each task. UsageError if the output exists.
    """
    if output.exists():
        raise UsageError(
            "the output exists already.",
            where=str(output),
            remedy="Give another folder with --output, or remove this one.",
        )
    started = clock()
    settings = settings or settings_here()
    record = _plan_record(data, stages, settings)
    part = _prepare_part(output.with_name(f"{output.name}.part"), record)
    finished, tokenizer = part / "finished", build_tokenizer(data)
    batches = plan_batches(data, tokenizer, stages, settings.seed)
    model, facts = _run(part, tokenizer.get_vocab_size(), batches, settings, (progress, clock))
    _save(finished, model, tokenizer)
    record |= {**facts, "quality": quality(finished, data), "seconds": round(clock() - started)}
    _write_json(finished / "training.json", record)
    finished.replace(output)
    shutil.rmtree(part)
    return record


def settings_here(seed: int = 0) -> PretrainingSettings:
    """Return the recipe's settings on this CPU: bfloat16 where it has instructions for it."""
    return PretrainingSettings(seed=seed, bf16=cpu_has_bf16())


def _run(
    part: Path,
    vocabulary: int,
    batches: Sequence[Sequence[MultiTaskItem]],
    settings: PretrainingSettings,
    progress_and_clock: tuple[Callable[[TrainingProgress], None], Callable[[], float]],
) -> "tuple[SharedTrunk, dict[str, Any]]":
    """Train from the start or from the last checkpoint; return the model and fields of training.json."""
    import torch

    from baselines.training.callbacks import ProgressCallback
    from baselines.training.scratch.model import make_trainer, new_model

    resumed = any(part.glob("checkpoint-*"))
    with quiet_transformers():
        model, watch = new_model(vocabulary, settings.seed), ProgressCallback(part, *progress_and_clock)
        trainer = make_trainer(model, batches, part, settings, watch)
        trainer.train(resume_from_checkpoint=resumed or None)
    return trainer.model, {
        "steps": trainer.state.global_step,
        "threads": torch.get_num_threads(),
        "resumed": resumed,
    }


def _prepare_part(part: Path, record: dict[str, Any]) -> Path:
    """Return the folder of work in progress: that of an earlier training with the same plan, or a new one."""
    path = part / "plan.json"
    content = json.dumps(record, indent=2) + "\n"
    if part.exists() and not (path.is_file() and path.read_text(encoding="utf-8") == content):
        shutil.rmtree(part)
    part.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return part


def quality(
    shipped: Path, data: Source, limit: int | None = None, tasks: Sequence[str] = tuple(TASKS)
) -> dict[str, dict[str, float]]:
    """Return the number of examples `n` and the metrics of each task, for a folder in the shipped form.

    The folder is unpacked for each task as for users.
    """
    scores = {}
    for task in map(get_task, tasks):
        examples = parse_examples(task, data.rows(task.name, reported_split(task), limit))
        with tempfile.TemporaryDirectory() as scratch:
            answers = _answers(task, unpack(shipped, task.model_task, Path(scratch) / task.name), examples)
        scores[task.name] = {"n": len(examples), **task.scoring(examples, answers)}
    return scores


def _answers(task: Task, folder: Path, examples: Sequence[Example]) -> list[str]:
    from baselines.models.classifier import load_classifier, runner

    encoder = TextEncoder(folder, MAX_LENGTH)
    columns = label_columns(read_config(folder), task, folder.name)
    run = runner(load_classifier(folder))
    predictions = Batching(BATCH, encoder.pad_id, columns).answer(encoder.encode(examples), run)
    return task.decide(predictions.logits, predictions.offsets)


def _plan_record(data: Source, stages: Sequence[Stage], settings: PretrainingSettings) -> dict[str, Any]:
    """Return the fields of training.json that determine the weights."""
    splits = ("train", "val")
    fingerprints = {task: {split: data.fingerprint(task, split) for split in splits} for task in label_rows()}
    return {
        "recipe": "baselines/training/scratch/pretrain.py",
        "data": {"version": data.VERSION, "fingerprints": fingerprints},
        "stages": [asdict(stage) for stage in stages],
        "seed": settings.seed,
        "batch": BATCH,
        "learning_rate": settings.learning_rate,
        "warmup_steps": settings.warmup_steps,
        "bf16": settings.bf16,
        "versions": {name: version(name) for name in ("torch", "transformers", "tokenizers", "safetensors")},
    }


def _save(folder: Path, model: "SharedTrunk", tokenizer: "Tokenizer") -> None:
    """Write the weights as float16, the configuration, the rows of the heads and the tokenizer."""
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
    _write_json(folder / "heads.json", label_rows())
    (folder / "model.safetensors").chmod(0o644)  # safetensors writes it readable by the owner only
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    _write_json(folder / "tokenizer_config.json", TOKENIZER_CONFIG)


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
