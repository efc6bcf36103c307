"""The recipe of the embedded encoder: a tiny BERT trained from scratch on all generated tasks at once.

One trunk serves every task; the classifier has a row for each label of each task, and the loss of an
example looks only at the rows of its own task. What makes it learn within minutes on two cores:

- attention that starts mimetic (`scratch_model.py`), so that equal tokens attend to each other at once;
- short texts before long ones, BoolQ before the other tasks, and batches of similar length;
- a learning rate of 5e-4 with warm-up and linear decay: at 1e-3 the same start learned nothing in 600 steps,
  at 4e-4 it answered 94 % of short texts after 300.
"""

import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from baselines.artifacts import cpu_has_bf16
from baselines.finetune import Tick
from baselines.quiet import quiet_transformers
from baselines.scratch_data import (
    BATCH,
    LABELS,
    MAX_LENGTH,
    Encoded,
    Settings,
    Source,
    Stage,
    build_tokenizer,
    encode,
    heads,
    plan,
)
from harness.errors import UsageError

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import BertForSequenceClassification

TOKENIZER_CONFIG = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "model_max_length": MAX_LENGTH,
    "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
    **{f"{role}_token": f"[{role.upper()}]" for role in ("pad", "unk", "cls", "sep", "mask")},
}
STAGES = (
    Stage({"boolq": 20_000}, 3),
    Stage({"boolq": 10_000, "cb": 15_000, "rte": 15_000}, 3),
    Stage({"boolq": 20_000, "cb": 15_000, "rte": 15_000}, 5),
    Stage({"boolq": 60_000, "cb": 20_000, "rte": 30_000}, 7),
    Stage({"boolq": 60_000, "cb": 20_000, "rte": 30_000}, None),
)


def train_embedded(
    output: Path,
    *,
    data: Source,
    stages: Sequence[Stage] = STAGES,
    settings: Settings | None = None,
    progress: Callable[[Tick], None] = lambda _: None,
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
    examples = plan(data, tokenizer, stages, settings.seed)
    model, facts = _run(part, tokenizer.get_vocab_size(), examples, settings, (progress, clock))
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
    examples: Sequence[Encoded],
    settings: Settings,
    watched_by: tuple[Callable[[Tick], None], Callable[[], float]],
) -> "tuple[BertForSequenceClassification, dict[str, Any]]":
    """Train from the start or from the last checkpoint; return the model and what is known only now."""
    import torch

    from baselines.scratch_model import make_trainer, new_model
    from baselines.watch import Watch

    resumed = any(part.glob("checkpoint-*"))
    with quiet_transformers():
        model, watch = new_model(vocabulary, settings.seed), Watch(part, *watched_by)
        trainer = make_trainer(model, examples, part, settings, watch)
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


def quality(shipped: Path, data: Source, limit: int | None = None) -> dict[str, dict[str, float]]:
    """Score a folder in the shipped form on the val split of every task: accuracy over n rows."""
    from tokenizers import Tokenizer
    from transformers import BertForSequenceClassification

    from baselines.scratch_model import accuracy

    with quiet_transformers():
        model = BertForSequenceClassification.from_pretrained(shipped, dtype="float32")
    tokenizer = Tokenizer.from_file(str(shipped / "tokenizer.json"))
    scores = {}
    for task in LABELS:
        examples = encode(tokenizer, task, list(data.rows(task, "val", limit)))
        scores[task] = {"n": len(examples), "accuracy": accuracy(model, examples)}
    return scores


def _plan_record(data: Source, stages: Sequence[Stage], settings: Settings) -> dict[str, Any]:
    """Gather what a person needs to make the weights again."""
    sums = {task: {split: data.fingerprint(task, split) for split in ("train", "val")} for task in LABELS}
    return {
        "recipe": "baselines/scratch.py",
        "data": {"version": data.VERSION, "fingerprints": sums},
        "stages": [asdict(stage) for stage in stages],
        "seed": settings.seed,
        "batch": BATCH,
        "learning_rate": settings.learning_rate,
        "warmup_steps": settings.warmup_steps,
        "bf16": settings.bf16,
        "versions": {name: version(name) for name in ("torch", "transformers", "tokenizers", "safetensors")},
    }


def _save(folder: Path, model: "BertForSequenceClassification", tokenizer: "Tokenizer") -> None:
    """Write weights as float16, and the files that say how to read them."""
    from safetensors.torch import save_file

    folder.mkdir(exist_ok=True)
    weights = {name: tensor.half().contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt", "stored_as": "float16"})
    names = [f"{task}/{label}" for task, labels in LABELS.items() for label in labels]
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
