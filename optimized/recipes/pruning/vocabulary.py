"""Vocabulary pruning: keep the word pieces that training texts use, and those that keep all words known.

WordPiece repeatedly takes the longest piece that fits. Removing pieces that a text does not use therefore
does not change how this text is split. In other texts, a word may be split into more and shorter pieces.
Single characters are kept, so that no word becomes unknown. If a character has no piece of its own, every
piece that contains it is kept.

Ids up to the last special token do not change, so configuration and post-processing stay valid. Byte-pair
vocabularies are refused: a merge that is not the last of any training text may still be an intermediate step.
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
    """A checkpoint's word pieces, and how they split texts, without truncation and special tokens."""

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._definition = require_wordpiece(folder)

    @cached_property
    def pieces(self) -> Sequence[str]:
        """The pieces in the order of their ids."""
        vocabulary = self._definition["model"]["vocab"]
        return sorted(vocabulary, key=vocabulary.__getitem__)

    @property
    def prefix(self) -> str:
        """The marker of a piece that continues a word."""
        return str(self._definition["model"].get("continuing_subword_prefix", "##"))

    @property
    def special(self) -> set[int]:
        """The ids of special tokens and of the unknown one."""
        added = {int(token["id"]) for token in self._definition["added_tokens"]}
        return added | {self._unknown}

    @property
    def _unknown(self) -> int:
        model = self._definition["model"]
        return int(model["vocab"][model["unk_token"]])

    def split(self, examples: Sequence[Example]) -> Iterator[list[str]]:
        """Yield the pieces of every text."""
        inputs = [text_input for example in examples for text_input in example.inputs]
        texts = [text for pair in inputs for text in (pair.first, pair.second) if text]
        for encoding in self._tokenizer.encode_batch(texts, add_special_tokens=False):
            yield encoding.tokens

    def count(self, examples: Sequence[Example]) -> int:
        """Return how many pieces the texts have."""
        return sum(map(len, self.split(examples)))

    def unknown(self, examples: Sequence[Example]) -> int:
        """Return how many words of the texts are unknown."""
        unknown = self.pieces[self._unknown]
        return sum(pieces.count(unknown) for pieces in self.split(examples))

    def require_same(self, other: "Vocabulary", examples: Sequence[Example]) -> None:
        """Raise CheckpointError if `other` splits one of these texts differently."""
        pairs = zip(self.split(examples), other.split(examples), strict=True)
        if any(pieces != other_pieces for pieces, other_pieces in pairs):
            raise CheckpointError(
                "the pruned vocabulary splits training texts differently.",
                where=TOKENIZER,
                remedy="Leave vocabulary out.",
            )


def require_wordpiece(folder: Path) -> dict[str, Any]:
    """Return the content of tokenizer.json; CheckpointError unless it is WordPiece with ids without gaps."""
    definition: dict[str, Any] = json.loads((folder / TOKENIZER).read_text(encoding="utf-8"))
    model = definition.get("model", {})
    if model.get("type") != "WordPiece":
        raise CheckpointError(
            f"expected a WordPiece vocabulary, got {model.get('type')}, which cannot be pruned.",
            where=folder.name,
            remedy="Leave vocabulary out, or prune a BERT, DistilBERT or MiniLM.",
        )
    if sorted(model["vocab"].values()) != list(range(len(model["vocab"]))):
        raise CheckpointError(
            f"the ids of the vocabulary have gaps: expected 0 to {len(model['vocab']) - 1}.",
            where=f"{folder.name}/{TOKENIZER}",
            remedy="Leave vocabulary out.",
        )
    return definition


def pieces_kept(vocabulary: Vocabulary, training: Sequence[Example], config: Mapping[str, Any]) -> list[int]:
    """Return the ids to keep, ascending; UsageError if nothing can be removed."""
    pieces = vocabulary.pieces
    used = {piece for split in vocabulary.split(training) for piece in split}
    configured = {
        value for name, value in config.items() if name.endswith("_token_id") and isinstance(value, int)
    }
    last_special = max(vocabulary.special | configured)
    needed = used | _pieces_for_characters(pieces, vocabulary.prefix)
    kept = [index for index, piece in enumerate(pieces) if index <= last_special or piece in needed]
    if len(kept) == len(pieces):
        raise UsageError(
            "prune: no word piece can be removed: all are used, or a special token has the last id.",
            remedy="Leave vocabulary out.",
        )
    return kept


def _pieces_for_characters(pieces: Sequence[str], prefix: str) -> set[str]:
    """Return the single characters, and all pieces with a character that has no such piece."""
    single = {piece for piece in pieces if len(piece.removeprefix(prefix)) == 1}

    def forms(piece: str) -> Iterator[str]:
        characters = piece.removeprefix(prefix)
        for position, character in enumerate(characters):
            yield character if position == 0 and characters == piece else prefix + character

    return single | {piece for piece in pieces if not single.issuperset(forms(piece))}


def write_tokenizer(source: Path, target: Path, kept: Sequence[int]) -> None:
    """Write tokenizer.json with only these pieces, numbered from 0, and vocab.txt if the source has one."""
    definition = require_wordpiece(source)
    all_pieces = Vocabulary(source).pieces
    pieces = [all_pieces[index] for index in kept]
    definition["model"]["vocab"] = {piece: index for index, piece in enumerate(pieces)}
    (target / TOKENIZER).write_text(json.dumps(definition, ensure_ascii=False), encoding="utf-8")
    if (source / _VOCABULARY).is_file():
        (target / _VOCABULARY).write_text("\n".join(pieces) + "\n", encoding="utf-8")
