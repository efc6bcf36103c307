"""Encoding of text as token ids with the checkpoint's own tokenizer.json, without transformers.

The ids are those of transformers' fast tokenizer (a test compares them). Only the `tokenizers` library is
imported, so that workers of other engines stay light. Truncation cuts the text that the example names: the
first of a pair in official tasks, so that the question is kept whole, or the longer of the two. Where the
named text is too short for that, the longer of the two is cut.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from baselines.checkpoints.folder import TOKENIZER, file_sha256, read_config
from baselines.encoding.fast import FastTokenizer, read_fast_tokenizer
from baselines.encoding.tokenizer_file import Side, open_tokenizer
from baselines.encoding.truncation import kept_sizes, losses, strategy
from baselines.encoding.wordpiece import SpecialTokens, infer_special_tokens
from harness.common.errors import DataError, UsageError
from harness.systems.interface import LIBRARY_ONLY, EncodedSequence, Request
from harness.workload.tasks.example import Example, Span, TextInput, Truncation

if TYPE_CHECKING:
    from tokenizers import Encoding

_OFFSET_POSITIONS = (
    *("roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "roberta-prelayernorm", "xmod"),
    *("longformer", "data2vec-text", "ibert", "luke"),
)
"""Families that count positions from the padding id + 1: 514 position embeddings serve 512 tokens."""

_MPNET_FIRST_POSITION = 2
"""MPNet counts from 2 whatever its padding id is."""

_LAYOUT_VERSION = 2
"""To be raised when the same texts get other ids, or are truncated differently: it is part of `encoding`."""

_REQUESTED = "the library was requested"
_FRAMES = "there is no fast tokenizer: its special tokens depend on the texts"


class TextEncoder:
    """The checkpoint's tokenizer with one maximum length; UsageError if the model cannot take that length.

    With `library` every text is encoded by the library, also where the fast tokenizer gives the same ids.
    """

    def __init__(self, folder: Path, max_length: int, *, library: bool = False) -> None:
        config = read_config(folder)
        self._tokenizer, self._side = open_tokenizer(folder)
        library = library or os.environ.get(LIBRARY_ONLY) == "library"
        self._special_tokens = [infer_special_tokens(self._tokenizer, pair=pair) for pair in (False, True)]
        fast = _REQUESTED if library else self._read_fast(folder / TOKENIZER)
        self._fast = None if isinstance(fast, str) else fast
        self.fallback_reason = fast if isinstance(fast, str) else ""
        """Why the library encodes all texts; empty where the fast tokenizer does."""
        shortest = self._tokenizer.num_special_tokens_to_add(is_pair=True) + 2
        check_length(config, max_length, shortest)
        self.max_length = max_length
        parts: list[Any] = [
            file_sha256(folder / TOKENIZER),
            max_length,
            version("tokenizers"),
            _LAYOUT_VERSION,
        ]
        parts += ["library"] if library else []
        self.encoding = hashlib.sha256(repr(parts).encode()).hexdigest()
        """Encoders with equal `encoding` return equal ids for equal texts."""
        self.pad_id = int(config.get("pad_token_id") or 0)

    def _read_fast(self, path: Path) -> FastTokenizer | str:
        if None in self._special_tokens:
            return _FRAMES
        fast = read_fast_tokenizer(path, self._tokenizer)
        return f"there is no fast tokenizer: {fast}" if isinstance(fast, str) else fast

    @property
    def fast(self) -> bool:
        """Whether the fast tokenizer encodes."""
        return self._fast is not None

    def count_differences(self, texts: Sequence[str]) -> int:
        """Return for how many texts the fast tokenizer gives other ids than the library."""
        if self._fast is None:
            return 0
        encodings = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return sum(
            self._fast.ids(text) != encoding.ids for text, encoding in zip(texts, encodings, strict=True)
        )

    def encode(self, examples: Sequence[Example]) -> list[Request]:
        """Return one request per example, its sequences unpadded."""
        return [Request(example.id, tuple(self._sequences(example.inputs))) for example in examples]

    def _sequences(self, inputs: Sequence[TextInput]) -> Iterator[EncodedSequence]:
        """Encode the sequences of one request; those with the same first text share its tokenisation."""
        first_ids: dict[str, list[int]] = {}
        first_encodings: dict[str, Encoding] = {}
        for text in inputs:
            if text.spans:
                yield self._encode_with_spans(text)
                continue
            sequence = self._encode_fast(text, first_ids)
            if sequence:
                yield sequence
                continue
            if text.first not in first_encodings:
                first_encodings[text.first] = self._tokens(text.first)
            second = None if text.second is None else self._tokens(text.second)
            yield self._join(first_encodings[text.first], second, text.truncate)

    def _encode_fast(self, text: TextInput, first_ids: dict[str, list[int]]) -> EncodedSequence | None:
        """Encode with the fast tokenizer, or return None where only the library can."""
        special = self._special_tokens[text.second is not None]
        if self._fast is None or special is None:
            return None
        if text.first not in first_ids:
            first_ids[text.first] = self._fast.ids(text.first)
        first = first_ids[text.first]
        second = self._fast.ids(text.second) if text.second is not None else []
        room = self.max_length - special.count
        kept = kept_sizes(len(first), len(second), room, text.truncate)
        lost = losses(len(first), len(second), kept)
        return add_special_tokens(
            special, _part(first, kept[0], self._side), _part(second, kept[1], self._side), lost
        )

    def _tokens(self, text: str) -> "Encoding":
        return self._tokenizer.encode(text, add_special_tokens=False)

    def _join(self, first: "Encoding", second: "Encoding | None", order: Truncation) -> EncodedSequence:
        sizes = (len(first), len(second) if second else 0)
        special = self._tokenizer.num_special_tokens_to_add(is_pair=second is not None)
        lost = self._losses(sizes, special, order)
        return _sequence(
            self._truncate(lost, order, lambda: self._tokenizer.post_process(first, second)), lost
        )

    def _encode_with_spans(self, text: TextInput) -> EncodedSequence:
        """Encode both texts in one step: encodings that are joined later lose their character offsets."""
        encoding = self._tokenizer.encode(text.first, text.second)
        sizes = (encoding.sequence_ids.count(0), encoding.sequence_ids.count(1))
        lost = self._losses(sizes, len(encoding) - sum(sizes), text.truncate)
        if lost[1] or lost[3]:
            encoding = self._truncate(
                lost, text.truncate, lambda: self._tokenizer.encode(text.first, text.second)
            )
        return _sequence(encoding, lost, text.spans)

    def _losses(self, sizes: tuple[int, int], special: int, order: Truncation) -> tuple[int, int, int, int]:
        return losses(*sizes, kept_sizes(*sizes, self.max_length - special, order))

    def _truncate(
        self, lost: tuple[int, int, int, int], order: Truncation, encode: "Callable[[], Encoding]"
    ) -> "Encoding":
        """Call `encode` so that the library removes what `lost` counts."""
        first, first_cut, second, second_cut = lost
        cut = first_cut + second_cut
        if not cut:
            return encode()
        how = strategy(first, second, cut, order)
        self._tokenizer.enable_truncation(self.max_length, strategy=how, direction=self._side)
        try:
            return encode()
        finally:
            self._tokenizer.no_truncation()


def add_special_tokens(
    special: SpecialTokens, first: Sequence[int], second: Sequence[int], lost: tuple[int, int, int, int]
) -> EncodedSequence:
    """Return the sequence of one text's ids or two's with the special tokens around them.

    `lost` is what truncation removed, as `losses` returns it.
    """
    ids = (*special.before, *first, *special.between, *second, *special.after)
    sizes = (len(special.before), len(first), len(special.between), len(second), len(special.after))
    return EncodedSequence(
        ids=np.array(ids, dtype=np.int32),
        segments=np.repeat(np.array(special.segments, dtype=np.int32), sizes),
        **_cut(lost),
    )


def _part(ids: Sequence[int], kept: int, side: Side) -> Sequence[int]:
    """Return the ids that truncation on this side keeps."""
    return ids[:kept] if side == "right" else ids[len(ids) - kept :]


def _cut(lost: tuple[int, int, int, int]) -> dict[str, Any]:
    cut = lost[1] + lost[3]
    return {"cut": cut, "losses": lost} if cut else {}


def _sequence(
    encoding: "Encoding", lost: tuple[int, int, int, int], spans: Sequence[Span] = ()
) -> EncodedSequence:
    return EncodedSequence(
        ids=np.array(encoding.ids, dtype=np.int32),
        segments=np.array(encoding.type_ids, dtype=np.int32),
        spans=tuple(_token_span(encoding, span) for span in spans),
        **_cut(lost),
    )


def check_length(config: Mapping[str, Any], max_length: int, shortest: int = 1) -> None:
    """Raise UsageError unless `max_length` is at least `shortest` and at most the model's positions."""
    longest = position_limit(config)
    if shortest <= max_length and (longest is None or max_length <= longest):
        return
    limit = f"{shortest} or more" if longest is None else f"{shortest} to {longest}"
    raise UsageError(
        f"maximum length {max_length} does not fit this model, which takes {limit} tokens.",
        remedy=f"Use --max-length {max(shortest, min(max_length, longest or max_length))}.",
    )


def position_limit(config: Mapping[str, Any]) -> int | None:
    """Return how many tokens the model has positions for, or None if there is no limit."""
    positions = config.get("max_position_embeddings")
    if not isinstance(positions, int) or positions < 1:
        return None
    if config.get("model_type") == "mpnet":
        return positions - _MPNET_FIRST_POSITION
    offset = config.get("model_type") in _OFFSET_POSITIONS
    return positions - int(config.get("pad_token_id") or 0) - 1 if offset else positions


def _token_span(encoding: "Encoding", span: Span) -> tuple[int, int]:
    """Return a span's token offsets in the whole sequence, end exclusive."""
    start = encoding.char_to_token(span.start, span.text)
    last = encoding.char_to_token(span.end - 1, span.text)
    if start is None or last is None:
        name = ("first", "second")[span.text]
        raise DataError(
            f"characters {span.start} to {span.end} of the {name} text have no token "
            "within the maximum length.",
            remedy="Raise --max-length, or check the span.",
        )
    return start, last + 1
