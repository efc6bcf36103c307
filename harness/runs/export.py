"""Export: a variant is prepared as for a run, and written to a folder that serves it without this project."""

from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from harness.catalog import Catalog, load_export
from harness.common.json_types import JsonObject
from harness.common.progress import ProgressReporter
from harness.records.plan import Plan
from harness.runs.execution.preparation import prepare
from harness.runs.planning.options import RunOptions
from harness.runs.planning.planner import plan_run
from harness.runs.planning.schedule import placement, read_split, settings
from harness.runs.services import Machine
from harness.runs.worker.messages import error_from
from harness.systems.artifact_cache import in_use
from harness.workload.data.official import OFFICIAL
from harness.workload.tasks.base import Task, reported_split
from harness.workload.tasks.custom import CUSTOM
from harness.workload.tasks.example import Example, TextInput

CHECKED = 32
"""Examples of the split on which the served answers are compared, beside the longest and the sample."""


def export(
    options: RunOptions,
    output: Path,
    catalog: Catalog,
    cache: Path,
    machine: Machine,
    narrator: ProgressReporter,
) -> JsonObject:
    """Prepare the one variant of the options, or find it in the cache; write the folder, return its facts."""
    functions = load_export()
    functions.require_free(output)
    plan = plan_run(options, catalog, cache, machine, narrator, labelled=False)
    prepared = prepare(plan, cache, machine, narrator)
    for failure in prepared.broken.values():
        raise error_from(failure)
    (variant,) = plan.variants
    artifact = prepared.artifacts[variant]
    narrator.stage("export", 1)
    examples = read_split(plan).examples
    with in_use([artifact.folder]):
        exported = functions.winner(
            variant=catalog.variant(variant, plan.rung_definition(variant)),
            artifact=artifact,
            task=plan.asked,
            settings=settings(plan),
            # the model is checked in one process, however many instances it has
            placement=replace(placement(plan, variant), instances=1),
            checkpoint=plan.model.checkpoint(),
            examples=_checked_examples(examples),
            sample=_sample(plan.asked, examples[0]),
            instances=plan.instances(variant),
            provenance=_provenance(plan),
            data=_terms(plan),
        )
        facts = functions.hand_over(exported, output, narrator.detail)
    narrator.step()
    return facts


def _checked_examples(examples: tuple[Example, ...]) -> tuple[Example, ...]:
    """Return examples from all over the split, and the longest, of which most is cut."""
    step = max(1, len(examples) // CHECKED)
    return (*examples[::step][:CHECKED], max(examples, key=_characters))


def _sample(task: Task, example: Example) -> Example:
    """Return a short example without anyone's text: of the embedded sample, or of words without meaning."""
    if task.name == CUSTOM:
        text = example.inputs[0]
        second = None if text.second is None else "another text"
        return Example("sample", (TextInput("a text", second),))
    from harness.workload import synthetic

    split = reported_split(task)
    rows = enumerate(synthetic.rows(task.name, split, 8), 1)
    return min(
        (example for number, row in rows for example in task.parse(row, f"row:{number}", labelled=True)),
        key=_characters,
    )


def _characters(example: Example) -> int:
    return sum(len(text.first) + len(text.second or "") for text in example.inputs)


def _provenance(plan: Plan) -> JsonObject:
    return {
        "format": 1,
        "made_by": f"fastformers-bench {version('fastformers-bench')}",
        "created": plan.created,
        "checked_on": {
            "tier": plan.data.tier,
            "split": plan.data.split,
            "fingerprint": plan.data.fingerprint,
        },
        "configuration": plan.configuration,
    }


def _terms(plan: Plan) -> str:
    """Return a sentence or two about the terms of the training data."""
    if plan.model.tier == "embedded":
        return "The model learned from rows that fastformers-bench generates, under its own licence."
    sha256 = plan.model.trained_on
    learned = f"The file it was fine-tuned on has sha256 {sha256}. " if sha256 else ""
    official = OFFICIAL.get(plan.asked.model_task)
    if official is None:
        return f"{learned}The owners of the data set their terms."
    return f"{learned}Terms of the {official.folder} data of SuperGLUE, if these were used: {official.terms}."
