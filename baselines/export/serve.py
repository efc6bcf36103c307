"""Serve the text classifier in this folder.

    python serve.py < requests.jsonl > answers.jsonl

reads one JSON request a line and writes one JSON answer a line, in the same order; README.md shows both. In a
program, from this folder:

    from serve import Classifier

    classifier = Classifier()
    classifier.answer({"first": "...", "second": "..."})

The only requirements are numpy, onnxruntime and tokenizers (requirements.txt).
"""

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
from tokenizers import Encoding, Tokenizer

TokenSpan = tuple[int, int]
"""The first token of a span and the one after its last."""


class Classifier:
    """The model in a folder; its methods may be called from several threads at the same time.

    `threads` is the number of threads that compute one request (default: as in settings.json).
    """

    def __init__(self, folder: str | Path = Path(__file__).parent, threads: int | None = None) -> None:
        folder = Path(folder)
        self.settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
        # truncation is part of a tokenizer's state: one tokenizer for each strategy keeps calls independent
        max_length = self.settings["max_length"]
        self._untruncated = _load_tokenizer(folder)
        self._truncate_first = _load_tokenizer(folder)
        self._truncate_first.enable_truncation(max_length, strategy="only_first")
        self._truncate_longest = _load_tokenizer(folder)
        self._truncate_longest.enable_truncation(max_length, strategy="longest_first")
        onnxruntime.disable_telemetry_events()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or self.settings["threads"]
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors only
        self._session = onnxruntime.InferenceSession(
            str(folder / self.settings["model"]), options, providers=["CPUExecutionProvider"]
        )
        self._input_names = [argument.name for argument in self._session.get_inputs()]

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the label of a request, or the list of its labels, and its scores, which are logits.

        Raises ValueError, TypeError or OverflowError if the request does not have the form in README.md.
        """
        grouped = isinstance(request, dict) and "inputs" in request
        logits = self.logits(request["inputs"] if grouped else [request])
        if self.settings["head"] == "choice":
            scores = {str(candidate): float(score) for candidate, score in enumerate(logits[:, 0])}
            return {"label": str(np.argmax(logits[:, 0])), "scores": scores}
        labels = self.settings["labels"]
        if self.settings["head"] == "multi_label":
            threshold = self.settings["threshold"]
            lowest = np.float64(math.log(threshold / (1 - threshold)))  # float64, as float32 would round it
            holds = [label for label, logit in zip(labels, logits[0], strict=True) if logit >= lowest]
            return {"label": holds, "scores": dict(zip(labels, map(float, logits[0]), strict=True))}
        best = [labels[column] for column in np.argmax(logits, axis=1)]
        rows = [dict(zip(labels, map(float, row), strict=True)) for row in logits]
        return {"label": best, "scores": rows} if grouped else {"label": best[0], "scores": rows[0]}

    def logits(self, inputs: Sequence[Mapping[str, Any]]) -> npt.NDArray[np.float32]:
        """Return the logits of a request's sequences, [sequences, labels]."""
        if not isinstance(inputs, list) or not inputs:
            raise ValueError('"inputs" must be a list of at least one object')
        sequences = [self._encode(fields) for fields in inputs]
        size = self.settings["sequences_at_once"]
        batches = [sequences[start : start + size] for start in range(0, len(sequences), size)]
        logits = np.concatenate([self._run(batch) for batch in batches])
        return logits[:, self.settings["columns"]].astype(np.float32)

    def _encode(self, fields: Mapping[str, Any]) -> tuple[Encoding, list[TokenSpan]]:
        """Return the tokens of a sequence, and its spans in tokens."""
        texts, spans = self._check(fields)
        encoding = self._untruncated.encode(*texts)
        excess = len(encoding) - self.settings["max_length"]
        if excess > 0:
            # the first text is cut; if it is too short for that, the longer of the two
            first_is_enough = encoding.sequence_ids.count(0) > excess
            tokenizer = self._truncate_first if first_is_enough else self._truncate_longest
            encoding = tokenizer.encode(*texts)
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
        spans = fields.get("spans", ())
        if len(spans) != self.settings["spans"]:
            raise ValueError(f'"spans" must hold {self.settings["spans"]} spans, each [start, end, text]')
        return (fields["first"], fields.get("second")), spans

    def _run(self, batch: Sequence[tuple[Encoding, Sequence[TokenSpan]]]) -> npt.NDArray[np.float32]:
        """Return the logits of encoded sequences, padded to the longest of them."""
        shape = (len(batch), max(len(encoding) for encoding, _ in batch))
        arrays = {
            "input_ids": np.full(shape, self.settings["pad_id"], np.int64),
            "attention_mask": np.zeros(shape, np.int64),
            "token_type_ids": np.zeros(shape, np.int64),
            "spans": np.array([spans for _, spans in batch], np.int64),
        }
        for row, (encoding, _) in enumerate(batch):
            arrays["input_ids"][row, : len(encoding)] = encoding.ids
            arrays["attention_mask"][row, : len(encoding)] = 1
            arrays["token_type_ids"][row, : len(encoding)] = encoding.type_ids
        logits: npt.NDArray[np.float32] = self._session.run(
            None, {name: arrays[name] for name in self._input_names}
        )[0]
        return logits


def _load_tokenizer(folder: Path) -> Tokenizer:
    """Load the tokenizer without the padding and truncation that its file may define."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _token_span(encoding: Encoding, start: int, end: int, text: int) -> TokenSpan:
    """Return the tokens of characters `start` to `end` (exclusive) of the first (0) or second (1) text."""
    first, last = encoding.char_to_token(start, text), encoding.char_to_token(end - 1, text)
    if first is None or last is None:
        raise ValueError(f"characters {start} to {end} have no token within the maximum length")
    return first, last + 1


def main() -> int:
    """Answer every line of stdin; return 1 if one could not be answered, else 0.

    The answer to a line that is not a valid request is {"error": reason}.
    """
    parser = argparse.ArgumentParser(
        description="Answer text classification requests: one JSON request a line on stdin, "
        "one JSON answer a line on stdout."
    )
    parser.add_argument(
        "--threads", type=int, help="threads that compute one request (default: as in settings.json)"
    )
    classifier = Classifier(threads=parser.parse_args().threads)
    failed = False
    for line in filter(bytes.strip, sys.stdin.buffer):
        try:
            answer = classifier.answer(json.loads(line))
        except (ValueError, TypeError, OverflowError) as problem:
            answer, failed = {"error": str(problem)}, True
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
