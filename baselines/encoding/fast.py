"""The fast tokenizer of a checkpoint, if there is one for its kind, or why the library encodes.

tokenizer.json --WordPiece-->                  wordpiece  --+-- equal ids on texts of its own --> fast
               --SentencePiece, bytes' BPE-->  word_cache --+-- else, and for other kinds --> a reason
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from baselines.encoding import word_cache, wordpiece
from harness.common.errors import CheckpointError
from harness.common.inputs.files import CHECKPOINT_JSON, InvalidText, read_input
from harness.common.inputs.json_text import parse_json_object

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_HARD_TEXT = (
    "Is it?\tA\x00b c\x7fd caf\u00e9 \u6e56x \u0130S \u00a0e\u0301 \ufb01 #%^ 1,000.5 \ufffd_x " + "y" * 120
)
"""Controls, blanks of all kinds, accents, scripts, marks, and a word that is too long."""

_PROBED_TOKENS = 32


class FastTokenizer(Protocol):
    """Returns the library's ids of texts, in less time."""

    def ids(self, text: str) -> list[int]:
        """Return the ids of a text, without special tokens around it."""


def read_fast_tokenizer(path: Path, tokenizer: "Tokenizer") -> FastTokenizer | str:
    """Return the fast tokenizer for a tokenizer.json, or why only the library can encode."""
    try:
        description = parse_json_object(read_input(path, CHECKPOINT_JSON, CheckpointError), lenient=True)
    except InvalidText:
        return "tokenizer.json is more than JSON"  # the library accepts a little more
    kind = wordpiece if description["model"].get("type") == "WordPiece" else word_cache
    try:
        fast: FastTokenizer | str = kind.read(description, tokenizer)
        texts = chain(hard_texts(tokenizer), kind.probes(tokenizer))
        if isinstance(fast, str) or agrees(fast, tokenizer, texts):
            return fast
    except Exception as problem:  # noqa: BLE001 -- the library raises Exception itself
        return f"the library cannot encode texts made from its own tokens ({problem})"
    return "ours gives other ids for texts made from its own tokens"


def agrees(fast: FastTokenizer, tokenizer: "Tokenizer", texts: Iterable[str]) -> bool:
    """Return whether both give the same ids for texts, and give them again when words are known."""
    return all(
        fast.ids(text) == ids == fast.ids(text)
        for text in texts
        for ids in [list(tokenizer.encode(text, add_special_tokens=False).ids)]
    )


def hard_texts(tokenizer: "Tokenizer") -> Iterator[str]:
    """Yield texts with added tokens, alone, in other cases and inside words, and one with all else."""
    yield _HARD_TEXT
    for number, token in enumerate(tokenizer.get_added_tokens_decoder().values()):
        if number == _PROBED_TOKENS:
            break
        content = token.content
        for spelling in (content, content.lower(), content.upper(), content.title()):
            yield f"a {spelling} b{spelling} {spelling}c, {spelling}"
