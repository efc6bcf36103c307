"""Export: a variant is prepared as for a run, and written to a folder that serves it without this project."""

import random
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from harness.catalog import Catalog, ExportFunctions, load_export
from harness.common.errors import UsageError
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
from harness.systems.interface import Variant
from harness.workload.data.official import OFFICIAL
from harness.workload.tasks.base import Task, reported_split
from harness.workload.tasks.custom import CUSTOM
from harness.workload.tasks.example import Example, TextInput

CHECKED = 32
"""Examples of the split on which the served answers are compared, beside the longest."""

REPEATABLE = 34
"""Made-up examples in the folder, on which its user can compare the answers again."""

_WORDS = (
    *("the", "lake", "River", "is", "NOT", "frozen", "42", "1,000.5", "don't", "e-mail", "naïve", "Straße"),
    *(
        "İstanbul",
        "東京",
        "мир",
        "😀",
        "…",
        "—",
        "(a)",
        "#b",
        "unbelievably",
        "xyzzy",
        "\u200d",
        "\uff46\uff55",
    ),
)
"""Words and characters that tokenizers treat in different ways: case, accents, scripts, marks."""


def export(
    options: RunOptions,
    output: Path,
    catalog: Catalog,
    cache: Path,
    machine: Machine,
    narrator: ProgressReporter,
    server: str = "",
) -> JsonObject:
    """Prepare the one variant of the options, or find it in the cache; write the folder, return its facts.

    `server` is the model server that the folder is made for, or empty. UsageError, before anything is
    prepared, for a variant that cannot be exported.
    """
    functions = load_export()
    functions.require_free(output)
    _require_exportable(_named_variant(options, catalog), functions, catalog)
    plan = plan_run(options, catalog, cache, machine, narrator, labelled=False)
    if server:
        functions.require_servable(server, plan.asked)
    prepared = prepare(plan, cache, machine, narrator)
    for failure in prepared.broken.values():
        raise error_from(failure)
    (variant,) = plan.variants
    artifact = prepared.artifacts[variant]
    narrator.stage("export", 1)
    examples = read_split(plan).examples
    system = catalog.variant(variant, plan.rung_definition(variant))
    with in_use([artifact.folder]):
        exported = functions.winner(
            variant=system,
            artifact=artifact,
            engine=functions.files(system, artifact, settings(plan)),
            text=functions.text(artifact).folder,
            task=plan.asked,
            settings=settings(plan),
            # the model is checked in one process, however many instances it has
            placement=replace(placement(plan, variant), instances=1),
            checkpoint=plan.model.checkpoint(),
            examples=_checked_examples(examples),
            repeatable=_repeatable_examples(plan.asked, examples[0].inputs[0]),
            instances=plan.instances(variant),
            provenance=_provenance(plan),
            data=_terms(plan),
            server=server,
        )
        facts = functions.hand_over(exported, output, narrator.detail)
    narrator.step()
    return facts


def _checked_examples(examples: tuple[Example, ...]) -> tuple[Example, ...]:
    """Return examples from all over the split, and the longest, of which most is cut."""
    step = max(1, len(examples) // CHECKED)
    return (*examples[::step][:CHECKED], max(examples, key=_characters))


def _repeatable_examples(task: Task, text: TextInput) -> tuple[Example, ...]:
    """Return examples without anyone's text, a short one first: of the embedded sample, or made of words.

    `text` shows whether texts of a custom task are pairs, and which is truncated.
    """
    if task.name == CUSTOM:
        return tuple(_made_up_example(number, text) for number in range(REPEATABLE))
    from harness.workload import synthetic

    split = reported_split(task)
    rows = enumerate(synthetic.rows(task.name, split, REPEATABLE), 1)
    examples = [
        example for number, row in rows for example in task.parse(row, f"row:{number}", labelled=True)
    ][:REPEATABLE]
    shortest = min(range(min(8, len(examples))), key=lambda index: _characters(examples[index]))
    return (examples[shortest], *examples[:shortest], *examples[shortest + 1 :])


def _made_up_example(number: int, text: TextInput) -> Example:
    """Return words in random order, the first time a few, then up to some hundreds, or none."""
    source = random.Random(number)  # noqa: S311 -- not a secret

    def words(most: int) -> str:
        return " ".join(source.choices(_WORDS, k=source.randint(0, most)))

    first, second = ("a text", "another text") if number == 0 else (words(25 * number), words(5 * number))
    pair = text.second is not None
    return Example(
        f"made-up:{number}", (replace(text, first=first, second=second if pair else None, spans=()),)
    )


def _named_variant(options: RunOptions, catalog: Catalog) -> Variant:
    if options.ladder:
        (rung,) = options.ladder.rungs
        return catalog.variant(rung.name, rung.words())
    (name,) = options.variants or ()
    return catalog.variant(name)


def _require_exportable(variant: Variant, functions: ExportFunctions, catalog: Catalog) -> None:
    reason = functions.reason(variant)
    if reason is None:
        return
    able = [
        other.name
        for other in catalog.variants.values()
        if functions.engine(other) and not other.unavailable()
    ]
    raise UsageError(
        f"{variant.name} cannot be exported, because {reason}.",
        remedy=f"Export one of {', '.join(able)}, or a rung with such an engine (`bench list --long`).",
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
