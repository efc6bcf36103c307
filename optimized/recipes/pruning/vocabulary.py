"""A smaller vocabulary: only the word pieces that training texts use, and what keeps other texts readable.

WordPiece takes the longest piece that fits, again and again. Whoever removes pieces that a text does not use
therefore changes nothing about that text: no longer piece fitted before, and none does now. Of other texts a
word may fall into more and shorter pieces. Single characters stay, so that no word becomes unknown; a
character that has no piece of its own keeps every piece it occurs in.

Ids up to the last special token stay as they are, so that neither configuration nor post-processing changes.
Byte pairs are refused: a merge that no training text ends with may still be a step on its way.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from baselines.checkpoints.folder import TOKENIZER
from harness.common.errors import CheckpointError, UsageError
from harness.workload.tasks.example import Example

_VOCABULARY = "vocab.txt"


class Vocabulary:
    """A checkpoint's word pieces, and how they cut whole texts: nothing truncated, nothing added."""

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._written = require_wordpiece(folder)

    @cached_property
    def pieces(self) -> Sequence[str]:
        """The pieces, by id."""
        vocabulary = self._written["model"]["vocab"]
        return sorted(vocabulary, key=vocabulary.__getitem__)

    @property
    def prefix(self) -> str:
        """What marks a piece that continues a word."""
        return str(self._written["model"].get("continuing_subword_prefix", "##"))

    @property
    def special(self) -> set[int]:
        """The ids of special tokens and of the unknown one."""
        named = {int(token["id"]) for token in self._written["added_tokens"]}
        return named | {self._unknown}

    @property
    def _unknown(self) -> int:
        model = self._written["model"]
        return int(model["vocab"][model["unk_token"]])

    def cuts(self, examples: Sequence[Example]) -> Iterator[list[str]]:
        """Yield the pieces of every text."""
        texts = [text for each in examples for one in each.inputs for text in (one.first, one.second) if text]
        for encoding in self._tokenizer.encode_batch(texts, add_special_tokens=False):
            yield encoding.tokens

    def count(self, examples: Sequence[Example]) -> int:
        """Return how many pieces the texts have."""
        return sum(map(len, self.cuts(examples)))

    def unknown(self, examples: Sequence[Example]) -> int:
        """Return how many words of the texts are unknown."""
        unknown = self.pieces[self._unknown]
        return sum(cut.count(unknown) for cut in self.cuts(examples))

    def require_same(self, other: "Vocabulary", examples: Sequence[Example]) -> None:
        """Refuse a vocabulary that cuts one of these texts differently."""
        if any(
            mine != theirs for mine, theirs in zip(self.cuts(examples), other.cuts(examples), strict=True)
        ):
            raise CheckpointError("the smaller vocabulary cuts training texts differently.", where=TOKENIZER)


def require_wordpiece(folder: Path) -> dict[str, Any]:
    """Return what tokenizer.json says; CheckpointError unless it is of WordPiece, its ids without a gap."""
    written: dict[str, Any] = json.loads((folder / TOKENIZER).read_text(encoding="utf-8"))
    model = written.get("model", {})
    if model.get("type") != "WordPiece":
        raise CheckpointError(
            f"a vocabulary of the kind {model.get('type')} cannot be pruned.",
            where=folder.name,
            remedy="Only WordPiece's can (BERT, DistilBERT, MiniLM): leave vocabulary out.",
        )
    if sorted(model["vocab"].values()) != list(range(len(model["vocab"]))):
        raise CheckpointError("the ids of its vocabulary have gaps.", where=f"{folder.name}/{TOKENIZER}")
    return written


def pieces_kept(vocabulary: Vocabulary, training: Sequence[Example], config: Mapping[str, Any]) -> list[int]:
    """Return the ids that stay, ascending; UsageError if those are all."""
    pieces = vocabulary.pieces
    used = {piece for cut in vocabulary.cuts(training) for piece in cut}
    named = {config[name] for name in config if name.endswith("_token_id") and isinstance(config[name], int)}
    fixed = max(vocabulary.special | named)
    needed = _readable(pieces, vocabulary.prefix)
    kept = [at for at, piece in enumerate(pieces) if at <= fixed or piece in used or piece in needed]
    if len(kept) == len(pieces):
        raise UsageError(
            "prune: no word piece can be left out.",
            remedy="Training texts use all, or special tokens stand at the end: leave vocabulary out.",
        )
    return kept


def _readable(pieces: Sequence[str], prefix: str) -> set[str]:
    """Return single characters, and all pieces with one that does not stand alone in that place."""
    single = {piece for piece in pieces if len(piece.removeprefix(prefix)) == 1}

    def forms(piece: str) -> Iterator[str]:
        inside = piece.removeprefix(prefix)
        for place, character in enumerate(inside):
            yield character if place == 0 and inside == piece else prefix + character

    return single | {piece for piece in pieces if not single.issuperset(forms(piece))}


def write_tokenizer(source: Path, target: Path, kept: Sequence[int]) -> None:
    """Write tokenizer.json with these pieces alone, numbered from 0, and vocab.txt if the source has one."""
    written = require_wordpiece(source)
    pieces = Vocabulary(source).pieces
    mine = [pieces[at] for at in kept]
    written["model"]["vocab"] = {piece: at for at, piece in enumerate(mine)}
    (target / TOKENIZER).write_text(json.dumps(written, ensure_ascii=False), encoding="utf-8")
    if (source / _VOCABULARY).is_file():
        (target / _VOCABULARY).write_text("\n".join(mine) + "\n", encoding="utf-8")
