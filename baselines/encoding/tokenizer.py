"""Encoding of text as token ids with the checkpoint's own tokenizer.json, without transformers.

The ids are those of transformers' fast tokenizer (a test compares them). Only the `tokenizers` library is
imported, so that workers of other engines stay light. Truncation cuts the first text of a pair, so that the
question is kept whole; where the second text alone is too long, the longer of the two is cut.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from baselines.checkpoints.folder import TOKENIZER, file_sha256, read_config
from baselines.encoding.wordpiece import SpecialTokens, infer_special_tokens, read_wordpiece
from harness.common.errors import CheckpointError, DataError, UsageError
from harness.systems.interface import EncodedSequence, Request
from harness.workload.tasks.example import Example, Span, TextInput

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

_OFFSET_POSITIONS = (
    *("roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "roberta-prelayernorm", "xmod"),
    *("mpnet", "longformer", "data2vec-text", "ibert", "luke"),
)
"""Families that count positions from the padding id + 1: 514 position embeddings serve 512 tokens."""

_LAYOUT_VERSION = 1
"""To be raised when this module truncates or joins texts differently: it is part of `encoding`."""


class TextEncoder:
    """The checkpoint's tokenizer with one maximum length; UsageError if the model cannot take that length.

    With `library` every text is encoded by the library, also where the fast tokenizer gives the same ids.
    """

    def __init__(self, folder: Path, max_length: int, *, library: bool = False) -> None:
        config = read_config(folder)
        self._tokenizer = _open_tokenizer(folder)
        # tokenizer.json may set truncation and padding of its own (sentence-transformers sets 128)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._wordpiece = None if library else read_wordpiece(folder / TOKENIZER, self._tokenizer)
        self._special_tokens = [infer_special_tokens(self._tokenizer, pair=pair) for pair in (False, True)]
        shortest = self._tokenizer.num_special_tokens_to_add(is_pair=True) + 2
        check_length(config, max_length, shortest)
        self.max_length = max_length
        parts = (file_sha256(folder / TOKENIZER), max_length, version("tokenizers"), _LAYOUT_VERSION)
        self.encoding = hashlib.sha256(repr(parts).encode()).hexdigest()
        """Encoders with equal `encoding` return equal ids for equal texts."""
        self.pad_id = int(config.get("pad_token_id") or 0)

    @property
    def fast(self) -> bool:
        """Whether plain texts are encoded by the fast tokenizer."""
        return self._wordpiece is not None

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
            yield self._join(first_encodings[text.first], second)

    def _encode_fast(self, text: TextInput, first_ids: dict[str, list[int]]) -> EncodedSequence | None:
        """Encode with the fast tokenizer, or return None where only the library can."""
        special = self._special_tokens[text.second is not None]
        if self._wordpiece is None or special is None:
            return None
        if text.first not in first_ids:
            first_ids[text.first] = self._wordpiece.ids(text.first)
        first = first_ids[text.first]
        second = self._wordpiece.ids(text.second) if text.second is not None else []
        cut = max(len(first) + len(second) + special.count - self.max_length, 0)
        if cut >= len(first) > 0 or (cut and not first):
            return None  # the second text alone is too long: the library cuts the longer of the two
        return add_special_tokens(special, first[: len(first) - cut], second, cut)

    def _tokens(self, text: str) -> "Encoding":
        return self._tokenizer.encode(text, add_special_tokens=False)

    def _join(self, first: "Encoding", second: "Encoding | None") -> EncodedSequence:
        special = self._tokenizer.num_special_tokens_to_add(is_pair=second is not None)
        length = len(first) + (len(second) if second else 0) + special
        cut = max(length - self.max_length, 0)
        encoding = self._truncate(cut, len(first), lambda: self._tokenizer.post_process(first, second))
        return _sequence(encoding, cut)

    def _encode_with_spans(self, text: TextInput) -> EncodedSequence:
        """Encode both texts in one step: encodings that are joined later lose their character offsets."""
        whole = self._tokenizer.encode(text.first, text.second)
        cut = max(len(whole) - self.max_length, 0)
        first_tokens = whole.sequence_ids.count(0)
        encoding = whole
        if cut:
            encoding = self._truncate(
                cut, first_tokens, lambda: self._tokenizer.encode(text.first, text.second)
            )
        return _sequence(encoding, cut, text.spans)

    def _truncate(self, cut: int, first_tokens: int, encode: "Callable[[], Encoding]") -> "Encoding":
        """Call `encode` with `cut` tokens less: of the first text, or of the longer if that is too short."""
        if not cut:
            return encode()
        strategy = "only_first" if first_tokens > cut else "longest_first"
        self._tokenizer.enable_truncation(self.max_length, strategy=strategy)
        try:
            return encode()
        finally:
            self._tokenizer.no_truncation()


def _open_tokenizer(folder: Path) -> "Tokenizer":
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(folder / TOKENIZER))
    except Exception as problem:  # noqa: BLE001 -- the library raises Exception itself
        raise CheckpointError(
            f"the tokenizer cannot be read ({str(problem)[:200]}).",
            where=str(folder / TOKENIZER),
            remedy="Copy the file again.",
        ) from None


def add_special_tokens(
    special: SpecialTokens, first: Sequence[int], second: Sequence[int], cut: int
) -> EncodedSequence:
    """Return the sequence of one text's ids or two's with the special tokens around them."""
    ids = (*special.before, *first, *special.between, *second, *special.after)
    sizes = (len(special.before), len(first), len(special.between), len(second), len(special.after))
    return EncodedSequence(
        ids=np.array(ids, dtype=np.int32),
        segments=np.repeat(np.array(special.segments, dtype=np.int32), sizes),
        cut=cut,
    )


def _sequence(encoding: "Encoding", cut: int, spans: Sequence[Span] = ()) -> EncodedSequence:
    return EncodedSequence(
        ids=np.array(encoding.ids, dtype=np.int32),
        segments=np.array(encoding.type_ids, dtype=np.int32),
        spans=tuple(_token_span(encoding, span) for span in spans),
        cut=cut,
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
