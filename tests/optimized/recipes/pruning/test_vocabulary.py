"""A pruned vocabulary splits training texts as before and makes no word of other texts unknown."""

import json
import string
from pathlib import Path

import encoders
import numpy as np
import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.checkpoints.folder import TOKENIZER, read_config
from baselines.encoding.tokenizer import TextEncoder
from baselines.engines.onnx.runtime import OnnxVariant
from baselines.engines.pytorch import VARIANTS
from baselines.training.datasets import split_for_selection
from baselines.training.finetune import copy_tokenizer
from harness.common.errors import CheckpointError, UsageError
from harness.systems.interface import PreparationSources
from harness.workload.tasks import get_task
from harness.workload.tasks.example import Example, TextInput
from optimized.recipes.pruning.recipe import Prune
from optimized.recipes.pruning.vocabulary import Vocabulary, pieces_kept, require_wordpiece, write_tokenizer

_, DYNAMIC = VARIANTS
CB = get_task("cb")
WORDS = ("lake", "winter", "says")
"""The whole words of the vocabulary that the training texts below use."""


def example(text: str, number: int = 0) -> Example:
    return Example(str(number), (TextInput(text),), (CB.labels[number % 3],))


def prune_vocabulary(source: Path, target: Path, *texts: str) -> tuple[Vocabulary, Vocabulary]:
    """Return the whole vocabulary and the one pruned to these texts."""
    target.mkdir(exist_ok=True)
    whole = Vocabulary(source)
    kept = pieces_kept(whole, [example(text) for text in texts], {})
    write_tokenizer(source, target, kept)
    return whole, Vocabulary(target)


def split(vocabulary: Vocabulary, text: str) -> list[str]:
    (pieces,) = vocabulary.split([example(text)])
    return pieces


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the tiny tokenizer: 14 whole words, and every letter alone and continuing."""
    folder = tmp_path_factory.mktemp("source")
    tiny.write_tokenizer(folder)
    return folder


def test_words_of_training_texts_stay_whole_and_others_are_split(source: Path, tmp_path: Path) -> None:
    """A word outside training texts is split into letters; no further word is unknown."""
    whole, fewer = prune_vocabulary(source, tmp_path, "Lake, winter", "says")
    text = "the lake says: winter people!"
    assert split(whole, text) == ["the", "lake", "says", ":", "winter", "people", "!"]
    assert split(fewer, text) == [
        "t", "##h", "##e", "lake", "says", ":", "winter", "p", "##e", "##o", "##p", "##l", "##e", "!",
    ]  # fmt: skip
    assert set(fewer.pieces) == {*whole.pieces} - {word for word in tiny.WORDS if len(word) > 1} | set(WORDS)
    assert [piece for piece in whole.pieces if piece in fewer.pieces] == fewer.pieces
    assert fewer.unknown([example(text)]) == 0
    assert fewer.count([example(text)]) == 14
    assert (tmp_path / "vocab.txt").read_text().split() == fewer.pieces


texts = st.lists(
    st.one_of(st.sampled_from(tiny.WORDS), st.text(string.printable + "äß漢", max_size=8)), max_size=6
).map(" ".join)


@settings(max_examples=60)
@given(st.lists(texts, min_size=1, max_size=3), texts)
def test_training_texts_are_split_as_before_and_no_further_word_is_unknown(
    tmp_path_factory: pytest.TempPathFactory, training: list[str], other: str
) -> None:
    """For all texts: the pieces, and the number of unknown words."""
    folder = tmp_path_factory.mktemp("fuzz")
    tiny.write_tokenizer(folder)
    whole, fewer = prune_vocabulary(folder, folder / "fewer", *training)
    for text in training:
        assert list(fewer.split([example(text)])) == list(whole.split([example(text)]))
    assert fewer.unknown([example(other)]) == whole.unknown([example(other)])
    fewer.require_same(whole, [example(text) for text in training])


def write_tokenizer_with(folder: Path, *more: str) -> None:
    """Write the tiny tokenizer with these pieces too."""
    tiny.write_tokenizer(folder)
    definition = json.loads((folder / TOKENIZER).read_text())
    pieces = [*definition["model"]["vocab"], *more]
    definition["model"]["vocab"] = {piece: index for index, piece in enumerate(pieces)}
    (folder / TOKENIZER).write_text(json.dumps(definition))


def test_pieces_are_kept_for_characters_without_a_piece_of_their_own(tmp_path: Path) -> None:
    """No piece is ü alone: "über" is kept, or the word would become unknown; "oder" is removed."""
    write_tokenizer_with(tmp_path, "über", "##grün", "oder")
    whole, fewer = prune_vocabulary(tmp_path, tmp_path / "fewer", "lake")
    assert {"über", "##grün"} < set(fewer.pieces)
    assert "oder" not in fewer.pieces
    assert "oder" in whole.pieces


def test_a_vocabulary_that_splits_a_text_differently_is_refused(source: Path, tmp_path: Path) -> None:
    """One pruned to other texts."""
    whole, fewer = prune_vocabulary(source, tmp_path, "lake")
    with pytest.raises(CheckpointError, match="splits training texts differently"):
        fewer.require_same(whole, [example("winter")])


def test_special_tokens_and_token_ids_of_the_configuration_do_not_change(source: Path) -> None:
    """All ids up to the largest of them are kept, used or not."""
    whole = Vocabulary(source)
    assert pieces_kept(whole, [example("lake")], {})[:6] == [0, 1, 2, 3, 4, 7], "is, the"
    assert pieces_kept(whole, [example("lake")], {"eos_token_id": 6, "bos_token_id": None})[:7] == list(
        range(7)
    )


def test_a_vocabulary_without_removable_pieces_is_refused(source: Path, tmp_path: Path) -> None:
    """A special token with the last id, or texts that use all pieces."""
    whole = Vocabulary(source)
    last = len(whole.pieces) - 1
    with pytest.raises(UsageError, match="no word piece can be removed"):
        pieces_kept(whole, [], {"sep_token_id": last})
    with pytest.raises(UsageError, match="no word piece can be removed"):
        prune_vocabulary(source, tmp_path, tiny.SENTENCE)


def test_byte_pair_vocabularies_are_refused(tmp_path: Path) -> None:
    """The message names the expected kind."""
    (tmp_path / TOKENIZER).write_text(json.dumps({"model": {"type": "BPE", "vocab": {}}}))
    with pytest.raises(CheckpointError, match="expected a WordPiece vocabulary, got BPE") as caught:
        require_wordpiece(tmp_path)
    assert "a BERT, DistilBERT or MiniLM" in str(caught.value.remedy)


def test_ids_with_gaps_are_refused(tmp_path: Path) -> None:
    """The id of a piece would not be its row of the embeddings."""
    (tmp_path / TOKENIZER).write_text(json.dumps({"model": {"type": "WordPiece", "vocab": {"a": 0, "b": 2}}}))
    with pytest.raises(CheckpointError, match="gaps: expected 0 to 1"):
        require_wordpiece(tmp_path)


@pytest.mark.parametrize("family", encoders.ARCHITECTURES)
def test_a_model_with_fewer_pieces_answers_training_texts_as_before(family: str, tmp_path: Path) -> None:
    """Only unused embeddings are removed: the logits are the same, in PyTorch and as a graph."""
    folder = encoders.saved(encoders.model_of(family, CB), tmp_path / "whole")
    used = ["lake winter", "says", "winter says", "lake", "says lake"]
    training = [example(text, number) for number, text in enumerate(used * 2)]
    parent = tiny.checkpoint_of(folder)
    source = PreparationSources(parent, (), lambda: training)
    output = Prune(vocabulary=True).apply(
        CB, [parent], source, tiny.LONG, tiny.preparation_context(tmp_path / "cache")
    )
    config, manifest = read_config(output.checkpoint.folder), output.artifact.manifest
    pieces = len(tiny.vocabulary()) - len([word for word in set(tiny.WORDS) if len(word) > 1]) + len(WORDS)
    assert config["vocab_size"] == manifest["vocabulary"]["kept"] == pieces
    assert manifest["vocabulary"]["of"] == len(tiny.vocabulary())
    _, held_out = split_for_selection(training, 0)
    words = len(held_out[0].inputs[0].first.split())
    assert manifest["vocabulary"]["held_out_tokens"] == {"before": words, "after": words}
    assert manifest["vocabulary"]["held_out_unknown"] == {"before": 0, "after": 0}
    assert "scored" not in manifest, "no importance is needed"
    assert manifest["share_left"]["layers"] == 1
    logits = []
    for variant, place in (
        (DYNAMIC, folder),
        (DYNAMIC, output.checkpoint.folder),
        (OnnxVariant(), output.checkpoint.folder),
    ):
        system = tiny.opened(variant, CB, place, tmp_path / "cache")
        logits.append(system.predict(system.encode(training)).logits)
    assert np.ptp(logits[0]) > 0.1
    np.testing.assert_allclose(logits[1], logits[0], atol=1e-5)
    np.testing.assert_allclose(logits[2], logits[0], atol=1e-4)


def test_stock_transformers_encodes_texts_the_same_with_the_pruned_vocabulary(tmp_path: Path) -> None:
    """AutoTokenizer returns the ids of tokenizer.json, whatever other files are in the folder."""
    from transformers import AutoTokenizer

    folder = encoders.saved(encoders.model_of("bert", CB), tmp_path / "whole")
    target = tmp_path / "fewer"
    target.mkdir()
    copy_tokenizer(folder, target)
    (target / "config.json").write_text((folder / "config.json").read_text())
    write_tokenizer(folder, target, pieces_kept(Vocabulary(folder), [example("lake")], {}))
    stock = AutoTokenizer.from_pretrained(target)
    (request,) = TextEncoder(target, 64).encode([example("the lake, people")])
    assert stock("the lake, people")["input_ids"] == request.sequences[0].ids.tolist()
