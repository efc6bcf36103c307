"""The metadata of a model card on the Hugging Face Hub: a `model-index` with quality, speed and energy.

    records --model_index--> entries, one for each model and variant --as_card--> YAML between two lines `---`

The form is the one of github.com/huggingface/hub-docs/blob/main/modelcard.md. It has a task, a data set and
metrics, and no field for a machine, an interval or a grade: these are in a metric's name and its `args`.
"""

from collections.abc import Iterator, Sequence

import yaml

from harness.common.json_types import JsonObject
from harness.records.record import Record
from reports.exports.measures import Measure, groups_of, measures_of
from reports.exports.tracked import metric_name
from reports.layout.escaping import printable
from reports.layout.style import Style
from reports.report import Report
from reports.values.figures import Figures

TASK = {"type": "text-classification", "name": "Text Classification"}


def as_card(report: Report, style: Style) -> str:
    """Return the metadata as it stands at the top of a README.md."""
    del style
    figures = [each for group in groups_of(report) for each in group]
    index = {"model-index": model_index(figures)}
    text = yaml.safe_dump(index, sort_keys=False, allow_unicode=True, width=100)
    return f"---\n{text}---\n"


def model_index(everything: Sequence[Figures]) -> list[JsonObject]:
    """Return an entry for each model and variant, with a result for each record that has figures."""
    by_name: dict[str, list[JsonObject]] = {}
    for figures in everything:
        metrics = [_metric(measure, figures.record) for measure in measures_of(figures)]
        if metrics:
            name = printable(f"{figures.record.model.name} ({figures.record.cell.variant})")
            by_name.setdefault(name, []).append(_result(figures.record, metrics))
    return [{"name": name, "results": results} for name, results in by_name.items()]


def _result(record: Record, metrics: list[JsonObject]) -> JsonObject:
    data = record.data
    title = f"{record.cell.task}, {'the embedded sample' if data.tier == 'embedded' else data.name}"
    return {
        "task": dict(TASK),  # a copy, to which YAML makes no reference
        "dataset": {
            "name": printable(title),
            "type": "super_glue" if data.official else printable(f"{data.tier}/{record.cell.task}"),
            "config": printable(record.cell.task),
            "split": data.split,
            "revision": data.fingerprint,
        },
        "metrics": metrics,
    }


def _metric(measure: Measure, record: Record) -> JsonObject:
    """Return one metric; a score's name is its own, and any other has the machine and the settings."""
    is_score = measure.unit == "share"
    kind = measure.name if is_score else metric_name(measure)
    where = "" if is_score else f", {', '.join(_settings(record))}"
    modelled = " (modelled, not measured)" if measure.grade == "modelled" else ""
    return {
        "type": kind,
        "name": printable(f"{measure.name.replace('_', ' ')}{modelled} [{measure.unit}]{where}"),
        "value": measure.value,
        "args": {
            "unit": measure.unit,
            "low": measure.low,
            "high": measure.high,
            "note": printable(measure.note),
            **({"grade": measure.grade} if measure.grade else {}),
            "status": record.status,
        },
        "verified": False,
    }


def _settings(record: Record) -> Iterator[str]:
    cell = record.cell
    yield str(record.host.facts.get("cpu_model", "unknown CPU")) if cell.device == "cpu" else cell.device
    threads = cell.threads * max(1, cell.instances)
    yield f"{threads} thread{'' if threads == 1 else 's'}"
    yield cell.scenario if cell.batch == 1 else f"{cell.scenario}, batch {cell.batch}"
    yield f"at most {cell.max_length} tokens"
