"""Serve the text classifier in this folder.

    python serve.py < requests.jsonl > answers.jsonl

reads one JSON request a line and writes one JSON answer a line, in the same order; README.md shows both.

    python serve.py --check

compares the files with manifest.json and answers the requests of check.jsonl again. In a program, from this
folder:

    from serve import Classifier

    classifier = Classifier()
    classifier.answer({"first": "...", "second": "..."})

requirements.txt lists what it needs; engine.py runs the model.
"""

import argparse
import hashlib
import importlib.util
import json
import math
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Encoding, Tokenizer

TokenSpan = tuple[int, int]
"""The first token of a span and the one after its last."""

Sequences = Sequence[tuple[Sequence[int], Sequence[int], Sequence[TokenSpan]]]
"""Token ids, segment ids and spans of each sequence."""

FOLDER = Path(__file__).parent

INVALID = (ValueError, TypeError, OverflowError, RecursionError)
"""What a request of another form than that of README.md raises."""


class NotFiniteError(ValueError):
    """The model's logits are not numbers, so they mean no label."""


class RepeatedFieldError(ValueError):
    """A request has a field twice, and either value might be the one that was meant."""


class Classifier:
    """The model in a folder; its methods may be called from several threads at the same time.

    `threads` is the number of threads that compute one request (default: as in settings.json).
    """

    def __init__(self, folder: str | Path = FOLDER, threads: int | None = None) -> None:
        folder = Path(folder)
        self.settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
        # truncation is part of a tokenizer's state: one tokenizer for each strategy keeps calls independent
        self._untruncated, side = _load_tokenizer(folder)
        self._truncating = {}
        for strategy in ("only_first", "only_second", "longest_first"):
            self._truncating[strategy], _ = _load_tokenizer(folder)
            self._truncating[strategy].enable_truncation(
                self.settings["max_length"], strategy=strategy, direction=side
            )
        self._engine = load_module(folder / "engine.py").Engine(
            folder, self.settings, threads or self.settings["threads"]
        )

    @property
    def engine(self) -> Mapping[str, Any]:
        """What the engine reports about itself."""
        facts: Mapping[str, Any] = self._engine.describe()
        return facts

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the label of a request, or the list of its labels, and its scores, which are logits.

        Raises one of `INVALID` if the request does not have the form in README.md, and `NotFiniteError`.
        """
        grouped = isinstance(request, dict) and "inputs" in request
        if grouped and len(request) > 1:
            raise ValueError('a request with "inputs" must have no other field')
        logits = self.logits(request["inputs"] if grouped else [request])
        if self.settings["head"] == "choice":
            scores = {str(candidate): float(score) for candidate, score in enumerate(logits[:, 0])}
            return {"label": str(np.argmax(logits[:, 0])), "scores": scores}
        labels = self.settings["labels"]
        rows = [dict(zip(labels, map(float, row), strict=True)) for row in logits]
        if self.settings["head"] == "multi_label":
            threshold = self.settings["threshold"]
            lowest = np.float64(math.log(threshold / (1 - threshold)))  # float64, as float32 would round it
            decided: list[Any] = [[label for label in labels if row[label] >= lowest] for row in rows]
        else:
            decided = [labels[column] for column in np.argmax(logits, axis=1)]
        return {"label": decided, "scores": rows} if grouped else {"label": decided[0], "scores": rows[0]}

    def logits(self, inputs: Sequence[Mapping[str, Any]]) -> npt.NDArray[np.float32]:
        """Return the logits of a request's sequences, [sequences, labels]."""
        if not isinstance(inputs, list) or not inputs:
            raise ValueError('"inputs" must be a list of at least one object')
        encoded = [self._encode(fields) for fields in inputs]
        sequences = [(encoding.ids, encoding.type_ids, spans) for encoding, spans in encoded]
        size = self.settings["sequences_at_once"]
        batches = [sequences[start : start + size] for start in range(0, len(sequences), size)]
        logits = np.concatenate([self._run(batch) for batch in batches])
        if not np.isfinite(logits).all():
            raise NotFiniteError("the model's logits are not finite numbers (NaN or infinite)")
        return logits[:, self.settings["columns"]].astype(np.float32)

    def _run(self, batch: Sequences) -> npt.NDArray[np.float32]:
        logits: npt.NDArray[np.float32] = self._engine.logits(batch)
        return logits

    def _encode(self, fields: Mapping[str, Any]) -> tuple[Encoding, list[TokenSpan]]:
        """Return the tokens of a sequence, and its spans in tokens."""
        texts, spans = self._check(fields)
        encoding = self._untruncated.encode(*texts)
        excess = len(encoding) - self.settings["max_length"]
        if excess > 0:
            # the named text is cut; if it is too short for that, the longer of the two
            named = self.settings["truncate"]
            sizes = {"first": encoding.sequence_ids.count(0), "second": encoding.sequence_ids.count(1)}
            strategy = f"only_{named}" if sizes.get(named, 0) > excess else "longest_first"
            encoding = self._truncating[strategy].encode(*texts)
        return encoding, [_token_span(encoding, *span) for span in spans]

    def _check(self, fields: Mapping[str, Any]) -> tuple[tuple[str, str | None], Sequence[Sequence[int]]]:
        """Return the texts and the spans of a sequence; ValueError if it lacks fields or has others."""
        names = ["first"]
        names += ["second"] if self.settings["pair"] else []
        names += ["spans"] if self.settings["spans"] else []
        if not isinstance(fields, dict) or set(fields) != set(names):
            raise ValueError(f"a sequence must have exactly these fields: {', '.join(names)}")
        for name in names:
            if name != "spans" and not isinstance(fields[name], str):
                raise ValueError(f'"{name}" must be a string')
            if name != "spans" and any("\ud800" <= character <= "\udfff" for character in fields[name]):
                raise ValueError(f'"{name}" must be text, and has half of a character (a lone surrogate)')
        spans = fields.get("spans", [])
        if not isinstance(spans, list) or len(spans) != self.settings["spans"]:
            raise ValueError(f'"spans" must hold {self.settings["spans"]} spans, each [start, end, text]')
        for span in spans:
            if not _is_span(span, texts=1 + self.settings["pair"]):
                raise ValueError(
                    "a span must be [start, end, text]: characters with 0 <= start < end, "
                    f"of text {'0 or 1' if self.settings['pair'] else '0'}, got {json.dumps(span)}"
                )
        return (fields["first"], fields.get("second")), spans


def parse_request(text: bytes | str) -> Any:  # noqa: ANN401 -- `Classifier.answer` checks its form
    """Return a request from its JSON text; ValueError for another text, or a field that is there twice."""
    return json.loads(text, object_pairs_hook=_fields)


def _fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        ((repeated, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise RepeatedFieldError(f"the field {json.dumps(repeated[:40])} is there twice")
    return fields


_CHANGED = "not as manifest.json lists them: {}"


def check_files(folder: Path) -> list[str]:
    """Return the names of files that are missing or not as manifest.json lists them, or that of itself."""
    try:
        files = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError):
        return ["manifest.json"]
    return [
        name
        for name, expected in files.items()
        if not (folder / name).is_file() or _sha256(folder / name) != expected["sha256"]
    ]


def load_module(path: Path) -> ModuleType:
    """Return the module in a file; it is found also where this folder is not on Python's path."""
    spec = importlib.util.spec_from_file_location(f"{__name__}_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"no module in {path.name}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _is_span(span: object, texts: int) -> bool:
    if not isinstance(span, list) or [type(number) for number in span] != [int, int, int]:
        return False
    start, end, text = span
    return bool(0 <= start < end < 1 << 32 and 0 <= text < texts)


def _load_tokenizer(folder: Path) -> tuple[Tokenizer, str]:
    """Return the tokenizer without truncation and padding, and the side that truncation cuts by its file."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    side = str((tokenizer.truncation or {}).get("direction", "right")).lower()
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer, side


def _token_span(encoding: Encoding, start: int, end: int, text: int) -> TokenSpan:
    """Return the tokens of characters `start` to `end` (exclusive) of the first (0) or second (1) text."""
    first, last = encoding.char_to_token(start, text), encoding.char_to_token(end - 1, text)
    if first is None or last is None:
        raise ValueError(f"characters {start} to {end} have no token within the maximum length")
    return first, last + 1


def largest_difference(left: object, right: object) -> float:
    """Return the largest difference between equally shaped scores; infinite if their shapes differ."""
    if isinstance(left, dict) and isinstance(right, dict) and left.keys() == right.keys():
        return max((largest_difference(left[name], right[name]) for name in left), default=0.0)
    if isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        return max(map(largest_difference, left, right), default=0.0)
    return abs(left - right) if isinstance(left, float) and isinstance(right, float) else math.inf


def check(folder: Path, classifier: Classifier) -> int:
    """Answer the requests of check.jsonl again and print how many answers are equal; return 1 unless all.

    An answer is equal if its label is, and each score is within the bound of manifest.json.
    """
    bound = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["check"]["bound"]
    lines = (folder / "check.jsonl").read_text(encoding="utf-8").splitlines()
    pairs = [(classifier.answer(row["request"]), row["answer"]) for row in map(json.loads, lines)]
    differences = [largest_difference(answer["scores"], row["scores"]) for answer, row in pairs]
    labels = [answer["label"] == row["label"] for answer, row in pairs]
    equal = sum(label and difference <= bound for label, difference in zip(labels, differences, strict=True))
    print(  # noqa: T201 -- the output of a program
        f"{equal} equal answers of {len(pairs)}; {sum(labels)} equal labels; "
        f"the largest difference of a logit is {max(differences):.2g}, the bound {bound:g}"
    )
    return int(equal < len(pairs))


def main() -> int:
    """Answer every line of stdin, or check the folder; return 1 if something is wrong, else 0.

    The answer to a line that is not a valid request is {"error": reason}.
    """
    parser = argparse.ArgumentParser(
        description="Answer text classification requests: one JSON request a line on stdin, "
        "one JSON answer a line on stdout."
    )
    parser.add_argument(
        "--threads", type=int, help="threads that compute one request (default: as in settings.json)"
    )
    parser.add_argument("--check", action="store_true", help="check the files and the answers of this folder")
    options = parser.parse_args()
    if options.threads is not None and not 1 <= options.threads <= 1024:  # noqa: PLR2004
        parser.error(f"--threads must be between 1 and 1024, got {options.threads}")
    if options.check and (changed := check_files(FOLDER)):
        print(_CHANGED.format(", ".join(changed)))  # noqa: T201
        return 1
    try:
        classifier = Classifier(threads=options.threads)
    except Exception as problem:  # each engine has errors of its own for a file that it cannot read
        changed = check_files(FOLDER)
        if not changed and not isinstance(problem, OSError):
            raise
        print(_CHANGED.format(", ".join(changed)) if changed else problem, file=sys.stderr)  # noqa: T201
        return 1
    return check(FOLDER, classifier) if options.check else _answer_lines(classifier)


def _answer_lines(classifier: Classifier) -> int:
    failed = False
    for line in filter(bytes.strip, sys.stdin.buffer):
        try:
            answer = classifier.answer(parse_request(line))
        except INVALID as problem:
            answer, failed = {"error": str(problem)}, True
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
