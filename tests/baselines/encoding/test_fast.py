"""A checkpoint's fast tokenizer, or the reason why the library encodes."""

import json
from pathlib import Path

import pytest
from tokenizer_kinds import KINDS, bpe, tokenizer_of
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from baselines.encoding import word_cache
from baselines.encoding.fast import read_fast_tokenizer
from baselines.encoding.word_cache import WordCache
from baselines.encoding.wordpiece import WordPiece


def saved(tokenizer: Tokenizer, folder: Path) -> Path:
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder / "tokenizer.json"


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_fast_tokenizer(kind: str, tmp_path: Path) -> None:
    """It agrees with the library on texts from the tokenizer's own tokens."""
    assert isinstance(read_fast_tokenizer(saved(tokenizer_of(kind), tmp_path), tokenizer_of(kind)), WordCache)


def test_bert_has_the_one_for_wordpiece(boolq_folder: Path) -> None:
    """Which looks words up without the library."""
    path = boolq_folder / "tokenizer.json"
    assert isinstance(read_fast_tokenizer(path, Tokenizer.from_file(str(path))), WordPiece)


def test_another_kind_has_a_reason(tmp_path: Path) -> None:
    """Words as tokens need no faster way; WordPiece without BERT's rules has none."""
    words, pieces = Tokenizer(models.WordLevel({"a": 0}, "a")), Tokenizer(models.WordPiece({"[UNK]": 0}))
    reasons = [read_fast_tokenizer(saved(each, tmp_path), each) for each in (words, pieces)]
    assert reasons == [
        "the model is of the type WordLevel",
        "WordPiece normalises or splits in another way than BERT's",
    ]


def test_a_file_that_only_the_library_can_read_has_a_reason(tmp_path: Path) -> None:
    """A lone surrogate is no text for us."""
    path = saved(tokenizer_of("roberta"), tmp_path)
    path.write_text("[]")
    assert read_fast_tokenizer(path, tokenizer_of("roberta")) == "tokenizer.json is more than JSON"


def test_rules_that_miss_something_are_found_on_the_tokenizers_own_tokens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Merges that join two words, which no rule refuses here."""
    monkeypatch.setattr(word_cache, "dependence", lambda _: "")
    words = ("\u2581the", "\u2581lake")
    apart = json.loads(Tokenizer(bpe(words, [*"\u2581abcdefghijklmnopqrstuvwxyz"])).to_str())["model"]
    vocabulary = {**apart["vocab"], "".join(words): len(apart["vocab"])}
    tokenizer = Tokenizer(models.BPE(vocabulary, [*map(tuple, apart["merges"]), words]))
    tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    reason = read_fast_tokenizer(saved(tokenizer, tmp_path), tokenizer)
    assert reason == "ours gives other ids for texts made from its own tokens"


def test_a_tokenizer_that_cannot_encode_every_text_is_left_to_the_library(tmp_path: Path) -> None:
    """Without an unknown token, a text of other characters than its own is the library's error, not ours."""
    tokenizer = Tokenizer(models.Unigram([("\u2581", -1.0), ("a", -1.0)], None, False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    reason = read_fast_tokenizer(saved(tokenizer, tmp_path), tokenizer)
    assert isinstance(reason, str)
    assert reason.startswith("the library cannot encode texts made from its own tokens (")
