"""From text to token ids, by the checkpoint's own tokenizer.json and nothing heavier than `tokenizers`.

The ids are those of transformers' fast tokenizer (a test holds it), without importing transformers, so that
workers of other engines stay light. Of a pair only the first text is cut, so that the question survives;
where the second text alone is too long, the longer of the two is cut.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from baselines.checkpoints.folder import TOKENIZER, file_sha256, read_config
from baselines.encoding.wordpiece import Frame, frame_of, wordpiece_of
from harness.common.errors import DataError, UsageError
from harness.systems.interface import EncodedSequence, Request
from harness.workload.tasks.example import Example, Span, TextInput

if TYPE_CHECKING:
    from tokenizers import Encoding

# these families count positions from the padding id + 1, so 514 position embeddings serve 512 tokens
_OFFSET_POSITIONS = (
    *("roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "roberta-prelayernorm", "xmod"),
    *("mpnet", "longformer", "data2vec-text", "ibert", "luke"),
)


_LAYOUT_VERSION = 1  # of how this module cuts and joins texts


class TextEncoder:
    """The checkpoint's tokenizer with one maximum length; UsageError if the model cannot take that length.

    With `library` every text goes to the library, also where the fast way to the same ids is known.
    """

    def __init__(self, folder: Path, max_length: int, *, library: bool = False) -> None:
        from tokenizers import Tokenizer

        config = read_config(folder)
        self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        # tokenizer.json may ask for truncation and padding of its own (sentence-transformers' do, at 128)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._words = None if library else wordpiece_of(folder / TOKENIZER, self._tokenizer)
        self._frames = [frame_of(self._tokenizer, pair=pair) for pair in (False, True)]
        least = self._tokenizer.num_special_tokens_to_add(is_pair=True) + 2
        check_length(config, max_length, least)
        self.max_length = max_length
        words = (file_sha256(folder / TOKENIZER), max_length, version("tokenizers"), _LAYOUT_VERSION)
        self.encoding = hashlib.sha256(repr(words).encode()).hexdigest()
        """Encoders with the same one make the same ids of the same texts."""
        self.pad_id = int(config.get("pad_token_id") or 0)

    @property
    def fast(self) -> bool:
        """Whether plain texts take the fast way."""
        return self._words is not None

    def encode(self, examples: Sequence[Example]) -> list[Request]:
        """Return one request per example, its sequences unpadded."""
        return [Request(example.id, tuple(self._sequences(example.inputs))) for example in examples]

    def _sequences(self, inputs: Sequence[TextInput]) -> Iterator[EncodedSequence]:
        """Encode the sequences of one request; those with the same first text share its tokenisation."""
        known: dict[str, list[int]] = {}
        firsts: dict[str, Encoding] = {}
        for text in inputs:
            fast = None if text.spans else self._fast(text, known)
            if fast:
                yield fast
                continue
            if text.spans:
                yield self._spanned(text)
                continue
            if text.first not in firsts:
                firsts[text.first] = self._tokens(text.first)
            yield self._joined(firsts[text.first], None if text.second is None else self._tokens(text.second))

    def _fast(self, text: TextInput, known: dict[str, list[int]]) -> EncodedSequence | None:
        """Encode without the library's bookkeeping, or return None where only the library can."""
        frame = self._frames[text.second is not None]
        if self._words is None or frame is None:
            return None
        if text.first not in known:
            known[text.first] = self._words.ids(text.first)
        first = known[text.first]
        second = self._words.ids(text.second) if text.second is not None else []
        cut = max(len(first) + len(second) + frame.special - self.max_length, 0)
        if cut >= len(first) > 0 or (cut and not first):
            return None  # the second text alone is too long: the library cuts the longer of the two
        return framed(frame, first[: len(first) - cut], second, cut)

    def _tokens(self, text: str) -> "Encoding":
        return self._tokenizer.encode(text, add_special_tokens=False)

    def _joined(self, first: "Encoding", second: "Encoding | None") -> EncodedSequence:
        special = self._tokenizer.num_special_tokens_to_add(is_pair=second is not None)
        length = len(first) + (len(second) if second else 0) + special
        cut = max(length - self.max_length, 0)
        kept = self._cut(cut, len(first), lambda: self._tokenizer.post_process(first, second))
        return _sequence(kept, cut)

    def _spanned(self, text: TextInput) -> EncodedSequence:
        """Encode a sequence whole: tokens that are joined later no longer know their characters."""
        whole = self._tokenizer.encode(text.first, text.second)
        cut = max(len(whole) - self.max_length, 0)
        first = whole.sequence_ids.count(0)
        kept = (
            self._cut(cut, first, lambda: self._tokenizer.encode(text.first, text.second)) if cut else whole
        )
        return _sequence(kept, cut, text.spans)

    def _cut(self, cut: int, first_tokens: int, encode: "Callable[[], Encoding]") -> "Encoding":
        """Encode with `cut` tokens less: the first text's, or the longer's where the first has too few."""
        if not cut:
            return encode()
        strategy = "only_first" if first_tokens > cut else "longest_first"
        self._tokenizer.enable_truncation(self.max_length, strategy=strategy)
        try:
            return encode()
        finally:
            self._tokenizer.no_truncation()


def framed(frame: Frame, first: Sequence[int], second: Sequence[int], cut: int) -> EncodedSequence:
    """Put special tokens around the ids of one text or two."""
    ids = (*frame.before, *first, *frame.between, *second, *frame.after)
    sizes = (len(frame.before), len(first), len(frame.between), len(second), len(frame.after))
    return EncodedSequence(
        ids=np.array(ids, dtype=np.int32),
        segments=np.repeat(np.array(frame.segments, dtype=np.int32), sizes),
        cut=cut,
    )


def _sequence(encoding: "Encoding", cut: int, spans: Sequence[Span] = ()) -> EncodedSequence:
    return EncodedSequence(
        ids=np.array(encoding.ids, dtype=np.int32),
        segments=np.array(encoding.type_ids, dtype=np.int32),
        spans=tuple(_token_span(encoding, span) for span in spans),
        cut=cut,
    )


def check_length(config: Mapping[str, Any], max_length: int, least: int = 1) -> None:
    """Raise UsageError unless the model has a position for each of `max_length` tokens."""
    most = position_limit(config)
    if least <= max_length and (most is None or max_length <= most):
        return
    limit = f"{least} or more" if most is None else f"{least} to {most}"
    raise UsageError(
        f"maximum length {max_length} does not fit this model, which takes {limit} tokens.",
        remedy=f"Use --max-length {max(least, min(max_length, most or max_length))}.",
    )


def position_limit(config: Mapping[str, Any]) -> int | None:
    """Return how many tokens the model has positions for, or None if nothing bounds them."""
    most = config.get("max_position_embeddings")
    if not isinstance(most, int) or most < 1:
        return None
    offset = config.get("model_type") in _OFFSET_POSITIONS
    return most - int(config.get("pad_token_id") or 0) - 1 if offset else most


def _token_span(encoding: "Encoding", span: Span) -> tuple[int, int]:
    """Turn a span's characters into token offsets in the whole sequence, end exclusive."""
    start = encoding.char_to_token(span.start, span.text)
    last = encoding.char_to_token(span.end - 1, span.text)
    if start is None or last is None:
        which = ("first", "second")[span.text]
        raise DataError(
            f"characters {span.start} to {span.end} of the {which} text have no token "
            "within the maximum length.",
            remedy="Raise --max-length, or check the span.",
        )
    return start, last + 1
