"""Answers requests with the model in this folder; needs numpy, tokenizers and onnxruntime, and nothing else.

`python serve.py < requests.jsonl > answers.jsonl`, one JSON object a line as README.md shows; in a program,
`from serve import Classifier`, then `Classifier().answer({"first": "...", ...})`.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from tokenizers import Encoding, Tokenizer


class Classifier:
    """The model; several threads may ask one at the same time."""

    def __init__(self, folder: str | Path = Path(__file__).parent, threads: int | None = None) -> None:
        self.settings = json.loads((Path(folder) / "settings.json").read_text(encoding="utf-8"))
        # how to cut is a tokenizer's state: one for each way, so that requests cannot disturb each other
        self._whole, self._first, self._longest = (
            _tokenizer(Path(folder), self.settings["max_length"], way)
            for way in ("", "only_first", "longest_first")
        )
        onnxruntime.disable_telemetry_events()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or self.settings["threads"]
        options.inter_op_num_threads, options.log_severity_level = 1, 3
        model, on = str(Path(folder) / self.settings["model"]), ["CPUExecutionProvider"]
        self._session = onnxruntime.InferenceSession(model, options, providers=on)
        self._names = [each.name for each in self._session.get_inputs()]

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the label and the scores (logits) of a request; ValueError for one of another form."""
        grouped = isinstance(request, dict) and "inputs" in request
        logits, labels = self.logits(request["inputs"] if grouped else [request]), self.settings["labels"]
        if self.settings["head"] == "choice":
            scores = {str(place): float(score) for place, score in enumerate(logits[:, 0])}
            return {"label": str(np.argmax(logits[:, 0])), "scores": scores}
        named = [labels[column] for column in np.argmax(logits, axis=1)]
        rows = [dict(zip(labels, map(float, row), strict=True)) for row in logits]
        return {"label": named, "scores": rows} if grouped else {"label": named[0], "scores": rows[0]}

    def logits(self, inputs: Sequence[Mapping[str, Any]]) -> Any:  # noqa: ANN401 -- a numpy array
        """Return the float32 logits of a request's sequences, [sequences, labels]."""
        if not isinstance(inputs, list) or not inputs:
            raise ValueError('"inputs" is a list of objects with at least one in it')
        rows, size = [self._encode(one) for one in inputs], self.settings["sequences_at_once"]
        parts = [self._run(rows[low : low + size]) for low in range(0, len(rows), size)]
        return np.concatenate(parts)[:, self.settings["columns"]].astype(np.float32)

    def _encode(self, one: Mapping[str, Any]) -> tuple[Encoding, list[tuple[int, int]]]:
        """Return a sequence's tokens, and its spans in tokens; the first text is cut before the second."""
        names = ["first", *["second"] * self.settings["pair"], *["spans"] * bool(self.settings["spans"])]
        if not isinstance(one, dict) or set(one) != set(names):
            raise ValueError(f"a sequence has {', '.join(names)}, and nothing else")
        texts = (one["first"], one.get("second"))
        if not all(isinstance(text, str) for text in texts[: 1 + self.settings["pair"]]):
            raise ValueError("a text is a string")
        if len(spans := one.get("spans", ())) != self.settings["spans"]:
            raise ValueError(f"there are {self.settings['spans']} spans: [start, end, text]")
        tokens = self._whole.encode(*texts)
        over = len(tokens) - self.settings["max_length"]
        if over > 0:
            tokens = (self._first if tokens.sequence_ids.count(0) > over else self._longest).encode(*texts)
        return tokens, [_token_span(tokens, *span) for span in spans]

    def _run(self, rows: Sequence[tuple[Encoding, Any]]) -> Any:  # noqa: ANN401 -- a numpy array
        shape = (len(rows), max(len(tokens) for tokens, _ in rows))
        arrays = {name: np.zeros(shape, np.int64) for name in ("attention_mask", "token_type_ids")}
        arrays["input_ids"] = np.full(shape, self.settings["pad_id"], np.int64)
        for row, (tokens, _) in enumerate(rows):
            arrays["input_ids"][row, : len(tokens)] = tokens.ids
            arrays["attention_mask"][row, : len(tokens)] = 1
            arrays["token_type_ids"][row, : len(tokens)] = tokens.type_ids
        arrays["spans"] = np.array([spans for _, spans in rows], np.int64)
        return self._session.run(None, {name: arrays[name] for name in self._names})[0]


def _tokenizer(folder: Path, most: int, way: str) -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    if way:
        tokenizer.enable_truncation(most, strategy=way)
    return tokenizer


def _token_span(tokens: Encoding, start: int, end: int, text: int) -> tuple[int, int]:
    first, last = tokens.char_to_token(start, text), tokens.char_to_token(end - 1, text)
    if first is None or last is None:
        raise ValueError(f"characters {start} to {end} have no token within the maximum length")
    return first, last + 1


def main() -> int:
    """Answer every line of stdin; one that cannot be answered says why, and the exit code is then 1."""
    parser = argparse.ArgumentParser(
        description="A JSON request a line on stdin, an answer a line on stdout."
    )
    parser.add_argument("--threads", type=int, help="of the model (default: as in settings.json)")
    classifier, failed = Classifier(threads=parser.parse_args().threads), False
    for line in filter(bytes.strip, sys.stdin.buffer):
        try:
            said = classifier.answer(json.loads(line))
        except (ValueError, TypeError, OverflowError) as problem:
            said, failed = {"error": str(problem)}, True
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
