"""The pages of an exported folder: README.md (how to serve the model) and LICENSES.md."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from baselines.export.licences import Licence

_README = """# {task}: {variant}

A text classifier with its tokenizer, exported by {made_by} from the model
{model}{chosen}. `manifest.json` lists its sources with their hashes, `LICENSES.md` the terms of use.
{warning}
## Serve it

It was exported with Python {python}, and needs Python 3.11 or newer with the packages of `requirements.txt`:

```sh
python3 -m venv env && env/bin/pip install -r requirements.txt
env/bin/python serve.py --check
env/bin/python serve.py < requests.jsonl > answers.jsonl
```

`--check` compares the files with `manifest.json` and answers the {repeatable} requests of `check.jsonl`
again; it must print "{repeatable} equal answers of {repeatable}".

Each line of the input is a request:

```json
{request}
```

Each line of the output is the answer to one, in the same order:

```json
{answer}
```

{form}

Scores are logits, unrounded. The answer to a line that is not a valid request is `{{"error": ...}}`, and the
exit code is then 1. In a program, from this folder:

```python
from serve import Classifier

classifier = Classifier()  # or Classifier(FOLDER, threads=1)
classifier.answer({{...}})  # a request as above
```

## Serve it over HTTP

```sh
env/bin/pip install -r requirements-http.txt
env/bin/python serve_http.py --port 8000
curl -d REQUEST http://127.0.0.1:8000/answer
```

REQUEST is a request as above, and the answer is the same. `/health` and `/metadata` answer, too. What cannot
be answered gets `{{"error": ...}}` and a status of 4xx. `--help` shows the bounds on size and number.
{notes}
## What was checked

`serve.py` and the system that the benchmark measures answered the same {examples} requests, one at a time.
All answers are equal, and the largest difference of a logit is {difference:.2g}. {repeatable} of the requests
are made up, and in `check.jsonl`. On another CPU, or with other versions, logits differ by rounding, those of
an int8 model by more: `--check` shows by how much.

## Settings

- A sequence has at most {max_length} tokens. {truncation}
- Threads: {threads}, as in the check; `--threads` or `threads=` changes that. Processes: the benchmark runs
  {instances}, each on its own cores.
- Requests are answered one at a time; the sequences of one request go through the model together.
"""

_UNTRAINED = """
**Its weights were never trained: it shows how fast the architecture is, and its answers mean nothing.**
"""

_LAYOUT = "Lay out your texts like these: the model expects this form."
_SINGLE = "`label` is one of {labels}; `scores` has one score for each."
_GROUPED = (
    "A request holds one or more sequences, each with a label of its own: `label` and `scores` are lists in "
    "the order of the sequences. A label is one of {labels}."
)
_CHOICE = (
    "A request holds a sequence for each candidate: `label` is the position of the one with the highest "
    "score, counted from 0, and `scores` has the score of each."
)
_PAIR = "A pair is `first` and `second`, in this order."
_TRUNCATION = {
    "first": "Of a longer one, the first text is truncated; if the second alone is too long, the longer.",
    "second": "Of a longer one, the second text is truncated; if the first alone is too long, the longer.",
    "longest": "Of a longer one, the longer of the two texts is truncated.",
}
_SEVERAL = (
    "`label` is a list of the labels that hold, any number of {labels}: those whose sigmoid(score) is at "
    "least {threshold:g}. `scores` has one score for each."
)
_SPANS = (
    "A span is `[start, end, text]`: characters, the end exclusive, of the first text (0) or the second (1); "
    "a sequence has {spans} spans."
)

_LICENSES = """# Licences

## The programs

The programs (`*.py`, `build.sh`, `csrc/`) and these pages are part of fastformers-bench, under the
Apache License 2.0 (https://www.apache.org/licenses/LICENSE-2.0).

## The model

{models}

The licence of a model also applies to what was made from it. If a recipe used another model (a student that
it started from), the licence of that one applies too: `manifest.json` lists all of them.

## The data

{data} The requests in `README.md` and `check.jsonl` are made up; there are no other examples here.
"""

OPTIMUM_NOTES = """
## With optimum

The folder is laid out as [optimum](https://github.com/huggingface/optimum-onnx) expects:

```python
from optimum.onnxruntime import ORTModelForSequenceClassification
from transformers import AutoTokenizer

model = ORTModelForSequenceClassification.from_pretrained(FOLDER)
tokenizer = AutoTokenizer.from_pretrained(FOLDER)
```

Where a text is longer than the model takes, `serve.py` decides which text of a pair is cut; `tokenizer` has
rules of its own.
"""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of the check: a request with its answer to show, and the largest difference of a logit.

    `repeatable` of the `examples` are in the folder.
    """

    request: Mapping[str, Any]
    answer: Mapping[str, Any]
    examples: int
    repeatable: int
    difference: float


def readme(
    manifest: Mapping[str, Any], settings: Mapping[str, Any], result: CheckResult, notes: str = ""
) -> str:
    """Return the text of README.md; `settings` is the content of settings.json, `notes` the engine's."""
    return _README.format(
        task=manifest["task"],
        variant=manifest["variant"],
        made_by=manifest["made_by"],
        model=_code_span(manifest["model"]["name"]),
        chosen=_chosen(manifest["effective"]),
        warning="" if manifest["model"]["trained"] else _UNTRAINED,
        python=settings["libraries"]["python"],
        request=json.dumps(result.request),
        answer=json.dumps(result.answer),
        form=_describe_form(settings, grouped="inputs" in result.request),
        examples=result.examples,
        repeatable=result.repeatable,
        notes=notes,
        difference=result.difference,
        max_length=settings["max_length"],
        truncation=_TRUNCATION[settings["truncate"]],
        threads=settings["threads"],
        instances=manifest["instances"],
    )


def _chosen(effective: Mapping[str, Any]) -> str:
    return f" (engine: {effective['chosen']}, the fastest of those tried)" if "chosen" in effective else ""


def licences(models: Sequence[Licence], data: str) -> str:
    """Return the text of LICENSES.md; `data` is a sentence on the terms of the data."""
    return _LICENSES.format(models="\n\n".join(map(_licence_entry, models)), data=data)


def _licence_entry(licence: Licence) -> str:
    line = f"- {_code_span(licence.model)}: {licence.terms}."
    if licence.text is None:
        return line
    quoted = "\n".join(f"    {text}".rstrip() for text in licence.text.strip().splitlines())
    return f"{line} Its text:\n\n{quoted}"


def _code_span(text: str) -> str:
    """Return a name as code on one line of Markdown, whatever backticks it holds (CommonMark, 6.1)."""
    line = " ".join(text.split())
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    return f"{fence} {line} {fence}" if "`" in line else f"{fence}{line}{fence}"


def _describe_form(settings: Mapping[str, Any], *, grouped: bool) -> str:
    labels = ", ".join(map(_code_span, settings["labels"]))
    forms = {"choice": _CHOICE, "multi_label": _SEVERAL}
    form = forms.get(settings["head"], _GROUPED if grouped else _SINGLE)
    parts = [_LAYOUT, form.format(labels=labels, threshold=settings.get("threshold", 0.0))]
    parts += [_PAIR] if settings["pair"] else []
    parts += [_SPANS.format(spans=settings["spans"])] if settings["spans"] else []
    return " ".join(parts)
