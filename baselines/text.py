"""From text to token ids, by the checkpoint's own tokenizer.json and nothing heavier than `tokenizers`.

The ids are those of transformers' fast tokenizer (a test holds it), without importing transformers, so that
workers of other engines stay light. Of a pair only the first text is cut, so that the question survives;
where the second text alone is too long, the longer of the two is cut.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from baselines.folder import TOKENIZER, read_config
from harness.errors import DataError, UsageError
from harness.system import EncodedSequence, Example, Request, TextInput

if TYPE_CHECKING:
    from tokenizers import Encoding

# these families count positions from the padding id + 1, so 514 position embeddings serve 512 tokens
_OFFSET_POSITIONS = (
    *("roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "roberta-prelayernorm", "xmod"),
    *("mpnet", "longformer", "data2vec-text", "ibert", "luke"),
)


class TextEncoder:
    """The checkpoint's tokenizer with one maximum length; UsageError if the model cannot take that length."""

    def __init__(self, folder: Path, max_length: int) -> None:
        from tokenizers import Tokenizer

        config = read_config(folder)
        self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        # tokenizer.json may ask for truncation and padding of its own (sentence-transformers' do, at 128)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        least = self._tokenizer.num_special_tokens_to_add(is_pair=True) + 2
        check_length(config, max_length, least)
        self.max_length = max_length
        self.pad_id = int(config.get("pad_token_id") or 0)

    def encode(self, examples: Sequence[Example]) -> list[Request]:
        """Return one request per example, its sequences unpadded."""
        return [Request(example.id, tuple(map(self._sequence, example.inputs))) for example in examples]

    def _sequence(self, text: TextInput) -> EncodedSequence:
        whole = self._tokenizer.encode(text.first, text.second)
        cut = max(len(whole.ids) - self.max_length, 0)
        kept = self._truncated(text, whole, cut) if cut else whole
        return EncodedSequence(
            ids=np.array(kept.ids, dtype=np.int64),
            segments=np.array(kept.type_ids, dtype=np.int64),
            spans=tuple(_token_span(kept, span) for span in text.spans),
            cut=cut,
        )

    def _truncated(self, text: TextInput, whole: "Encoding", cut: int) -> "Encoding":
        first_tokens = whole.sequence_ids.count(0)
        strategy = "only_first" if first_tokens > cut else "longest_first"
        self._tokenizer.enable_truncation(self.max_length, strategy=strategy)
        try:
            return self._tokenizer.encode(text.first, text.second)
        finally:
            self._tokenizer.no_truncation()


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


def _token_span(encoding: "Encoding", span: tuple[int, int]) -> tuple[int, int]:
    """Turn character offsets into `first` (end exclusive) into token offsets (end exclusive)."""
    start = encoding.char_to_token(span[0], 0)
    last = encoding.char_to_token(span[1] - 1, 0)
    if start is None or last is None:
        raise DataError(
            f"characters {span[0]} to {span[1]} of the first text have no token within the maximum length.",
            remedy="Raise --max-length, or check the span.",
        )
    return start, last + 1
