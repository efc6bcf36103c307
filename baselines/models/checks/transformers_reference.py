"""Inputs and padding as transformers alone makes them, to compare ours with."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn import Module
from transformers import AutoTokenizer

from baselines.models.classifier import logits_of, uses_segments
from baselines.models.span_classifier import SpanClassifier
from baselines.models.transformers_settings import LOCAL, quiet_transformers
from harness.systems.interface import EncodedSequence
from harness.workload.tasks.example import Logits, TextInput

Inputs = Mapping[str, torch.Tensor]

_STRATEGIES = ("longest_first", "only_first", "only_second")
"""The ways in which transformers cuts a pair of texts."""


@dataclass(frozen=True, slots=True)
class Library:
    """transformers' own tokenizer beside the model, as its documentation uses both."""

    tokenizer: Any
    model: Module
    max_length: int

    def differs(self, text: TextInput, sequence: EncodedSequence) -> bool:
        """Return whether transformers has other token ids or types for a text than we have.

        Ours may cut a pair in any of the ways that transformers has.
        """
        return not any(self._same(inputs, sequence) for inputs in self._encodings(text, sequence))

    def logits(self, text: TextInput, sequence: EncodedSequence) -> Logits:
        """Return the logits of one text, [1, labels], of transformers' tokenizer and model."""
        return self._run(next(self._encodings(text, sequence)), [sequence])

    def padded_logits(self, sequences: Sequence[EncodedSequence]) -> Logits:
        """Return the logits of one batch that the tokenizer pads to the maximum length.

        Raises ValueError if the tokenizer has no padding token, or the model refuses a padded batch.
        """
        rows = [self._row(sequence) for sequence in sequences]
        with quiet_transformers():
            inputs = self.tokenizer.pad(
                rows, padding="max_length", max_length=self.max_length, return_tensors="pt"
            )
        return self._run(dict(inputs), sequences)

    def _encodings(self, text: TextInput, sequence: EncodedSequence) -> Iterator[Inputs]:
        texts = [text.first] if text.second is None else [text.first, text.second]
        strategies = (_STRATEGIES if text.second is not None else (True,)) if sequence.cut else (False,)
        for strategy in strategies:
            with quiet_transformers():
                yield dict(
                    self.tokenizer(
                        *texts, truncation=strategy, max_length=self.max_length, return_tensors="pt"
                    )
                )

    def _same(self, inputs: Inputs, sequence: EncodedSequence) -> bool:
        ids = inputs["input_ids"][0].tolist()
        if ids != list(sequence.ids):
            return False
        if not uses_segments(self.model):
            return True
        types = inputs["token_type_ids"][0].tolist() if "token_type_ids" in inputs else [0] * len(ids)
        return bool(types == list(sequence.segments))

    def _row(self, sequence: EncodedSequence) -> dict[str, list[int]]:
        row = {"input_ids": sequence.ids.tolist(), "attention_mask": [1] * len(sequence.ids)}
        if uses_segments(self.model):
            row["token_type_ids"] = sequence.segments.tolist()
        return row

    def _run(self, inputs: Inputs, sequences: Sequence[EncodedSequence]) -> Logits:
        spans = isinstance(self.model, SpanClassifier)
        accepted = inspect.signature((self.model.encoder if spans else self.model).forward).parameters
        known = {name: tensor for name, tensor in inputs.items() if name in accepted}
        if spans:
            known["spans"] = torch.tensor([sequence.spans for sequence in sequences])
        with torch.inference_mode():
            logits: Logits = logits_of(self.model, known).float().numpy()
        return logits


def open_library(folder: Path, model: Module, max_length: int) -> Library | str:
    """Return transformers' tokenizer of a checkpoint with the model, or why there is none."""
    try:
        with quiet_transformers():
            return Library(AutoTokenizer.from_pretrained(folder, **LOCAL), model, max_length)
    except Exception as problem:  # noqa: BLE001 -- its tokenizers raise errors of many kinds
        reason = (str(problem).splitlines() or [type(problem).__name__])[0].rstrip(".")
        return f"unavailable, because transformers cannot load the tokenizer ({reason})"
