"""Opening of a checkpoint's tokenizer.json, and the checks that need no text.

All settings that decide ids lie in that one file: the side that truncation cuts is the direction in its
section `truncation`, and a model without segments has a post-processor that gives every token segment 0.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from baselines.checkpoints.folder import TOKENIZER, read_config, tensor_shapes, weight_files
from harness.common.errors import CheckpointError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Side = Literal["left", "right"]

_EMBEDDINGS = re.compile(
    r"(^|\.)(word_embeddings|word_embedding|embed_tokens|tok_embeddings|wte|shared)\.weight$"
)
"""The names of the input embedding in transformers' families."""


def open_tokenizer(folder: Path) -> "tuple[Tokenizer, Side]":
    """Return the tokenizer without truncation and padding, and the side that truncation cuts.

    tokenizer.json may set a length and padding of its own (sentence-transformers sets 128), which do not
    count. CheckpointError if the library cannot read it.
    """
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    except Exception as problem:  # noqa: BLE001 -- the library raises Exception itself
        raise unreadable(folder, problem) from None
    side: Side = "left" if str((tokenizer.truncation or {}).get("direction")).lower() == "left" else "right"
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer, side


def unreadable(folder: Path, problem: Exception) -> CheckpointError:
    """Return the error for a tokenizer that its library cannot read."""
    reason = (str(problem).splitlines() or [type(problem).__name__])[0].rstrip(".")
    return CheckpointError(
        f"the tokenizer cannot be read ({type(problem).__name__}: {reason[:200]}).",
        where=folder.name,
        remedy="Copy the tokenizer files of the model again, or write them with save_pretrained().",
    )


def check_token_ids(folder: Path, name: str) -> None:
    """Raise CheckpointError if the tokenizer has a token whose id is beyond the rows of the embedding.

    `name` is the user's name for the checkpoint.
    """
    tokenizer, _ = open_tokenizer(folder)
    ids, rows = tokenizer.get_vocab(with_added_tokens=True), embedding_rows(folder)
    beyond = sorted((number, token) for token, number in ids.items() if rows is not None and number >= rows)
    if beyond:
        tokens = ", ".join(f"{token!r} ({number})" for number, token in beyond[:3])
        raise CheckpointError(
            f"the embedding has {rows} rows, and {len(beyond)} of the tokenizer's ids are beyond: {tokens}.",
            where=name,
            remedy="Call model.resize_token_embeddings(len(tokenizer)) and train again, or use the tokenizer "
            "that the model was trained with.",
        )


def embedding_rows(folder: Path) -> int | None:
    """Return the rows of the input embedding, by the weights or else by config.json."""
    shapes: dict[str, tuple[int, ...]] = {}
    for path in weight_files(folder):
        shapes |= tensor_shapes(path)
    rows = {shape[0] for name, shape in shapes.items() if _EMBEDDINGS.search(name) and shape}
    return min(rows) if rows else _vocabulary_size(read_config(folder))


def _vocabulary_size(config: Mapping[str, Any]) -> int | None:
    size = config.get("vocab_size")
    return size if isinstance(size, int) and size > 0 else None
