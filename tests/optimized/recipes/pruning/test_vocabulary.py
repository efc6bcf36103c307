"""A smaller vocabulary: texts it was made for are cut as before, and no other becomes unreadable."""

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
"""What the training texts below use of the vocabulary's whole words."""


def example(text: str, number: int = 0) -> Example:
    return Example(str(number), (TextInput(text),), (CB.labels[number % 3],))


def shrunk(source: Path, target: Path, *texts: str) -> tuple[Vocabulary, Vocabulary]:
    """Return the whole vocabulary and the one that these texts leave of it."""
    target.mkdir(exist_ok=True)
    whole = Vocabulary(source)
    kept = pieces_kept(whole, [example(text) for text in texts], {})
    write_tokenizer(source, target, kept)
    return whole, Vocabulary(target)


def one(vocabulary: Vocabulary, text: str) -> list[str]:
    (found,) = vocabulary.cuts([example(text)])
    return found


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the tiny tokenizer: 14 whole words, and every letter alone and continuing."""
    folder = tmp_path_factory.mktemp("source")
    tiny.write_tokenizer(folder)
    return folder


def test_words_of_training_stay_whole_and_others_fall_apart(source: Path, tmp_path: Path) -> None:
    """A word that training never used is spelled; nothing is unknown that was not."""
    whole, fewer = shrunk(source, tmp_path, "Lake, winter", "says")
    text = "the lake says: winter people!"
    assert one(whole, text) == ["the", "lake", "says", ":", "winter", "people", "!"]
    assert one(fewer, text) == [
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
def test_training_texts_are_cut_as_before_and_no_other_text_loses_a_word(
    tmp_path_factory: pytest.TempPathFactory, training: list[str], other: str
) -> None:
    """Whatever the texts: pieces by name, and the number of unknown words."""
    folder = tmp_path_factory.mktemp("fuzz")
    tiny.write_tokenizer(folder)
    whole, fewer = shrunk(folder, folder / "fewer", *training)
    for text in training:
        assert list(fewer.cuts([example(text)])) == list(whole.cuts([example(text)]))
    assert fewer.unknown([example(other)]) == whole.unknown([example(other)])
    fewer.require_same(whole, [example(text) for text in training])


def with_pieces(folder: Path, *more: str) -> None:
    """Write the tiny tokenizer with these pieces too."""
    tiny.write_tokenizer(folder)
    written = json.loads((folder / TOKENIZER).read_text())
    pieces = [*written["model"]["vocab"], *more]
    written["model"]["vocab"] = {piece: at for at, piece in enumerate(pieces)}
    (folder / TOKENIZER).write_text(json.dumps(written))


def test_a_character_without_a_piece_of_its_own_keeps_those_it_occurs_in(tmp_path: Path) -> None:
    """There is no ü alone: "über" stays, or the word would become unknown; "oder" goes."""
    with_pieces(tmp_path, "über", "##grün", "oder")
    whole, fewer = shrunk(tmp_path, tmp_path / "fewer", "lake")
    assert {"über", "##grün"} < set(fewer.pieces)
    assert "oder" not in fewer.pieces
    assert "oder" in whole.pieces


def test_a_vocabulary_that_cuts_a_text_differently_is_refused(source: Path, tmp_path: Path) -> None:
    """Made for other texts, it would change these."""
    whole, fewer = shrunk(source, tmp_path, "lake")
    with pytest.raises(CheckpointError, match="differently"):
        fewer.require_same(whole, [example("winter")])


def test_special_tokens_and_what_the_configuration_names_keep_their_ids(source: Path) -> None:
    """All ids up to the largest of them stay, used or not."""
    whole = Vocabulary(source)
    assert pieces_kept(whole, [example("lake")], {})[:6] == [0, 1, 2, 3, 4, 7], "is, the"
    assert pieces_kept(whole, [example("lake")], {"eos_token_id": 6, "bos_token_id": None})[:7] == list(
        range(7)
    )


def test_where_nothing_can_go_it_is_said(source: Path, tmp_path: Path) -> None:
    """A special token at the end, or texts that use everything."""
    whole = Vocabulary(source)
    last = len(whole.pieces) - 1
    with pytest.raises(UsageError, match="no word piece can be left out"):
        pieces_kept(whole, [], {"sep_token_id": last})
    with pytest.raises(UsageError, match="no word piece can be left out"):
        shrunk(source, tmp_path, tiny.SENTENCE)


def test_byte_pairs_are_refused(tmp_path: Path) -> None:
    """With the kinds that work."""
    (tmp_path / TOKENIZER).write_text(json.dumps({"model": {"type": "BPE", "vocab": {}}}))
    with pytest.raises(CheckpointError, match="of the kind BPE cannot be pruned") as caught:
        require_wordpiece(tmp_path)
    assert "WordPiece" in str(caught.value.remedy)


def test_ids_with_gaps_are_refused(tmp_path: Path) -> None:
    """A piece's id would not be its row."""
    (tmp_path / TOKENIZER).write_text(json.dumps({"model": {"type": "WordPiece", "vocab": {"a": 0, "b": 2}}}))
    with pytest.raises(CheckpointError, match="gaps"):
        require_wordpiece(tmp_path)


@pytest.mark.parametrize("family", encoders.ARCHITECTURES)
def test_a_model_with_fewer_pieces_answers_training_texts_as_before(family: str, tmp_path: Path) -> None:
    """Only embeddings that training texts do not use are gone: same logits, in PyTorch and as a graph."""
    folder = encoders.saved(encoders.model_of(family, CB), tmp_path / "whole")
    used = ["lake winter", "says", "winter says", "lake", "says lake"]
    training = [example(text, number) for number, text in enumerate(used * 2)]
    parent = tiny.checkpoint_of(folder)
    source = PreparationSources(parent, (), lambda: training)
    made = Prune(vocabulary=True).apply(CB, [parent], source, tiny.LONG, tiny.workshop(tmp_path / "cache"))
    config, manifest = read_config(made.checkpoint.folder), made.artifact.manifest
    pieces = len(tiny.vocabulary()) - len([word for word in set(tiny.WORDS) if len(word) > 1]) + len(WORDS)
    assert config["vocab_size"] == manifest["vocabulary"]["kept"] == pieces
    assert manifest["vocabulary"]["of"] == len(tiny.vocabulary())
    _, held_out = split_for_selection(training, 0)
    words = len(held_out[0].inputs[0].first.split())
    assert manifest["vocabulary"]["held_out_tokens"] == {"before": words, "after": words}
    assert manifest["vocabulary"]["held_out_unknown"] == {"before": 0, "after": 0}
    assert "scored" not in manifest, "importance has nothing to choose"
    assert manifest["share_left"]["layers"] == 1
    logits = []
    for variant, place in (
        (DYNAMIC, folder),
        (DYNAMIC, made.checkpoint.folder),
        (OnnxVariant(), made.checkpoint.folder),
    ):
        system = tiny.opened(variant, CB, place, tmp_path / "cache")
        logits.append(system.predict(system.encode(training)).logits)
    assert np.ptp(logits[0]) > 0.1
    np.testing.assert_allclose(logits[1], logits[0], atol=1e-5)
    np.testing.assert_allclose(logits[2], logits[0], atol=1e-4)


def test_stock_transformers_reads_the_smaller_vocabulary_alike(tmp_path: Path) -> None:
    """The ids of tokenizer.json are those that AutoTokenizer makes, whatever else lies beside it."""
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
