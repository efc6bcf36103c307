"""The pages of an exported folder: how to serve the model, and under which terms it stands."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from baselines.export.licences import Licence

_README = """# {task}: {variant}

A text classifier with its tokenizer, made by {made_by} from the model `{model}`. `manifest.json` says
from what, by hashes; `LICENSES.md` says under which terms.
{warning}
## Serve it

It was made with Python {python} and needs 3.10 or newer, with the versions of `requirements.txt`:

```sh
python3 -m venv env && env/bin/pip install -r requirements.txt
env/bin/python serve.py < requests.jsonl > answers.jsonl
```

A request is a line:

```json
{request}
```

and so is its answer, in the order of the requests:

```json
{answer}
```

{form}

Scores are logits, unrounded. A line that cannot be answered gives `{{"error": ...}}` and, at the end, exit
code 1. In a program, from this folder:

```python
from serve import Classifier

classifier = Classifier()  # or Classifier(FOLDER, threads=1)
classifier.answer({{...}})  # a request as above
```

## What was checked

`serve.py` answered {examples} requests, one at a time, and so did the system that the benchmark measures: all
answers are equal, and the largest difference of a logit is {difference:.2g}. On another CPU, or with other
versions, logits differ by rounding, and those of an int8 model by more: compare with the answer above first.

## Settings

- At most {max_length} tokens a sequence: of a longer one the first text is cut, and where the second alone is
  too long, the longer of the two.
- Threads: {threads}, as it was checked; `--threads` or `threads=` changes that. Processes: the benchmark runs
  {instances}, each on cores of its own.
- Requests are answered one at a time; the sequences of one request go through the model together.
"""

_UNTRAINED = """
**Its weights were never trained: it shows how fast the architecture is, and its answers mean nothing.**
"""

_LIKE = "The model learned texts that are laid out like these."
_ONE = "`label` is one of {labels}; `scores` has one for each."
_GROUPED = (
    "A request holds one or more sequences, each labelled on its own: `label` and `scores` are lists in "
    "their order. A label is one of {labels}."
)
_CHOICE = (
    "A request holds a sequence for each candidate: `label` is the position of the one with the highest "
    "score, counted from 0, and `scores` has the score of each."
)
_PAIR = "`first` is the text that is cut where both are too long; `second` the other."
_SPANS = (
    "A span is `[start, end, text]`: characters, the end exclusive, of the first text (0) or the second (1); "
    "there are {spans} in a sequence."
)

_LICENSES = """# Licences

## The script

`serve.py` and these pages are part of fastformers-bench, under the Apache License 2.0
(https://www.apache.org/licenses/LICENSE-2.0).

## The model

{models}

A licence of a model holds for what was made of it too. Where a recipe brought in another model (a student
that it started from), that one's licence holds as well: `manifest.json` names what took part.

## The data

{data} The request that `README.md` shows is made up; no other example is in this folder.
"""


@dataclass(frozen=True, slots=True)
class Shown:
    """What the README shows: a request with its answer, and how the check went."""

    request: Mapping[str, Any]
    answer: Mapping[str, Any]
    examples: int
    difference: float


def readme(facts: Mapping[str, Any], settings: Mapping[str, Any], shown: Shown) -> str:
    """Return how to serve it; `facts` are those of `manifest.json`, `settings` those of `settings.json`."""
    return _README.format(
        task=facts["task"],
        variant=facts["variant"],
        made_by=facts["made_by"],
        model=facts["model"]["name"],
        warning="" if facts["model"]["trained"] else _UNTRAINED,
        python=settings["libraries"]["python"],
        request=json.dumps(shown.request),
        answer=json.dumps(shown.answer),
        form=_form(settings, grouped="inputs" in shown.request),
        examples=shown.examples,
        difference=shown.difference,
        max_length=settings["max_length"],
        threads=settings["threads"],
        instances=facts["instances"],
    )


def licences(models: Sequence[Licence], data: str) -> str:
    """Return the licence notes."""
    return _LICENSES.format(models="\n\n".join(map(_licence, models)), data=data)


def _licence(one: Licence) -> str:
    line = f"- `{one.model}`: {one.said}."
    if one.text is None:
        return line
    quoted = "\n".join(f"    {text}".rstrip() for text in one.text.strip().splitlines())
    return f"{line} Its text:\n\n{quoted}"


def _form(settings: Mapping[str, Any], *, grouped: bool) -> str:
    labels = ", ".join(f"`{label}`" for label in settings["labels"])
    form = _CHOICE if settings["head"] == "choice" else _GROUPED if grouped else _ONE
    parts = [_LIKE, form.format(labels=labels)]
    parts += [_PAIR] if settings["pair"] else []
    parts += [_SPANS.format(spans=settings["spans"])] if settings["spans"] else []
    return " ".join(parts)
