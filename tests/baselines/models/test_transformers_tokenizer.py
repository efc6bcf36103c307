"""A checkpoint encodes as transformers' AutoTokenizer does, whatever files its settings lie in."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny

from baselines.checkpoints.folder import fingerprint
from baselines.encoding.tokenizer import TextEncoder
from baselines.export.licences import find_licences
from baselines.models.resolve import resolve, resolve_classifier
from harness.common.errors import CheckpointError
from harness.systems.interface import EncodedSequence
from harness.workload.tasks.example import Example, TextInput, Truncation
from harness.workload.tasks.superglue.boolq import BOOLQ

LENGTH = 14
TEXTS = (
    ("Is The Lake Frozen? " * 4, "A PASSAGE says"),
    ("Élan vital, naïve café", "湖は is frozen"),
    ("the lake", "IT FREEZES each year and People skate " * 3),
)


@pytest.fixture(scope="module")
def roomy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a checkpoint whose embedding has four rows more than its tokenizer has tokens."""
    folder = tmp_path_factory.mktemp("checkpoints") / "roomy"
    return tiny.tiny_checkpoint(folder, vocab_size=len(tiny.vocabulary()) + 4)


@pytest.fixture
def folder(roomy: Path, tmp_path: Path) -> Path:
    """Copy the checkpoint: its tokenizer.json lower-cases, strips accents and knows two segments."""
    return Path(shutil.copytree(roomy, tmp_path / "mine"))


def configure(folder: Path, **settings: object) -> None:
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))


def reference(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


def encoded(
    folder: Path, first: str, second: str | None, truncate: Truncation = "longest"
) -> EncodedSequence:
    example = Example("0", (TextInput(first, second, truncate=truncate),))
    return TextEncoder(folder, LENGTH).encode([example])[0].sequences[0]


def assert_encodes_as_transformers(folder: Path, resolved: Path) -> None:
    tokenizer = reference(folder)
    for first, second in TEXTS:
        for text in (None, second):
            texts = (first,) if text is None else (first, text)
            expected = tokenizer(*texts, truncation="longest_first", max_length=LENGTH)
            sequence = encoded(resolved, first, text)
            assert sequence.ids.tolist() == expected["input_ids"]
            segments = expected.get("token_type_ids", [0] * len(sequence.ids))
            assert sequence.segments.tolist() == segments


SETTINGS: dict[str, dict[str, Any]] = {
    "do_lower_case": {"do_lower_case": False},
    "strip_accents": {"strip_accents": False},
    "strip_accents without lower-casing": {"do_lower_case": False, "strip_accents": True},
    "tokenize_chinese_chars": {"tokenize_chinese_chars": False},
    "truncation_side": {"truncation_side": "left"},
    "model_input_names": {"model_input_names": ["input_ids", "attention_mask"]},
    "another class": {"tokenizer_class": "PreTrainedTokenizerFast", "do_lower_case": False},
    "sep_token": {"sep_token": "[MASK]"},
    "several": {"do_lower_case": False, "truncation_side": "left", "model_input_names": ["input_ids"]},
    "padding_side": {"padding_side": "left"},
    "model_max_length": {"model_max_length": 8},
    "added_tokens_decoder": {
        "added_tokens_decoder": {str(len(tiny.vocabulary())): {"content": "Lake", "normalized": True}}
    },
}


@pytest.mark.parametrize("case", SETTINGS)
def test_settings_that_travel_with_a_checkpoint_are_kept(folder: Path, tmp_path: Path, case: str) -> None:
    """A setting of tokenizer_config.json counts as in transformers, though there is a tokenizer.json."""
    configure(folder, **SETTINGS[case])
    checkpoint = resolve_classifier(str(folder), BOOLQ, tiny.Shelf(tmp_path / "cache"))
    assert_encodes_as_transformers(folder, checkpoint.folder)


@pytest.mark.parametrize("case", ["do_lower_case", "truncation_side", "model_input_names"])
def test_a_setting_changes_ids_or_segments(folder: Path, roomy: Path, tmp_path: Path, case: str) -> None:
    """The texts of these tests show each of the three."""
    configure(folder, **SETTINGS[case])
    resolved = resolve_classifier(str(folder), BOOLQ, tiny.Shelf(tmp_path / "cache")).folder
    before, after = (encoded(where, *TEXTS[0]) for where in (roomy, resolved))
    assert (before.ids.tolist(), before.segments.tolist()) != (after.ids.tolist(), after.segments.tolist())


def test_settings_survive_a_second_resolution(folder: Path, tmp_path: Path) -> None:
    """A model that was trained from a checkpoint has its tokenizer: resolving it again changes nothing."""
    configure(folder, **SETTINGS["several"])
    shelf = tiny.Shelf(tmp_path / "cache")
    first = resolve_classifier(str(folder), BOOLQ, shelf).folder
    again = Path(shutil.copytree(first, tmp_path / "again"))
    (again / "manifest.json").unlink()
    assert resolve_classifier(str(again), BOOLQ, shelf).folder == again
    assert_encodes_as_transformers(folder, again)


def test_a_checkpoint_that_agrees_with_transformers_is_used_where_it_lies(
    folder: Path, tmp_path: Path
) -> None:
    """Nothing is copied, and transformers loads the configuration and the tokenizer once each."""
    shelf = tiny.Shelf(tmp_path / "cache")
    checkpoints = [resolve_classifier(str(folder), BOOLQ, shelf) for _ in range(2)]
    assert [checkpoint.folder for checkpoint in checkpoints] == [folder, folder]
    assert len(shelf.made) == 2
    assert not list(shelf.root.rglob("*.safetensors"))


def _add_tokens(folder: Path) -> None:
    (folder / "added_tokens.json").write_text(json.dumps({"skate": tiny.vocabulary().index("skate")}))


def _map_tokens(folder: Path) -> None:
    (folder / "special_tokens_map.json").write_text(json.dumps({"sep_token": "[MASK]"}))


STALE: dict[str, Callable[[Path], None]] = {
    "added_tokens.json": _add_tokens,
    "special_tokens_map.json": _map_tokens,
    "tokenizer_config.json": lambda folder: configure(folder, do_lower_case=False),
    "vocab.txt": lambda folder: (folder / "vocab.txt").write_text("[PAD]\n"),
    "merges.txt": lambda folder: (folder / "merges.txt").write_text("a b\n"),
    "spiece.model": lambda folder: (folder / "spiece.model").write_bytes(b"x"),
    "sentencepiece.bpe.model": lambda folder: (folder / "sentencepiece.bpe.model").write_bytes(b"x"),
}


@pytest.mark.parametrize("name", STALE)
def test_a_stale_tokenizer_is_not_taken_for_the_new_one(folder: Path, name: str) -> None:
    """Every file that a tokenizer may read is in the fingerprint, beside tokenizer.json and without it."""
    for own in (True, False):
        if not own:
            (folder / "tokenizer.json").unlink()
        (folder / name).unlink(missing_ok=True)
        before = fingerprint(folder)
        (folder / "tokenizer_config.json").write_text("{}")
        STALE[name](folder)
        assert fingerprint(folder) != before
        shutil.copy(Path(tiny.__file__), folder / "README.md")


def test_a_vocabulary_gets_its_added_tokens_anew(folder: Path, tmp_path: Path) -> None:
    """Without tokenizer.json, a change of added_tokens.json makes another derived tokenizer."""
    (folder / "tokenizer.json").unlink()
    shelf = tiny.Shelf(tmp_path / "cache")
    before = resolve(str(folder), BOOLQ, shelf)
    (folder / "added_tokens.json").write_text(json.dumps({"A PASSAGE": len(tiny.vocabulary())}))
    after = resolve(str(folder), BOOLQ, shelf)
    assert before.fingerprint != after.fingerprint
    assert before.folder != after.folder
    assert after.fingerprint == fingerprint(after.folder), "what is made from the copy is keyed by its files"
    assert_encodes_as_transformers(folder, after.folder)


def test_a_sharded_checkpoint_without_tokenizer_json_keeps_its_index(folder: Path, tmp_path: Path) -> None:
    """The copy with a derived tokenizer loads."""
    from baselines.models.classifier import load_classifier
    from baselines.models.transformers_settings import quiet_transformers

    with quiet_transformers():
        load_classifier(folder).save_pretrained(folder, max_shard_size="40KB")
    (folder / "model.safetensors").unlink()
    (folder / "tokenizer.json").unlink()
    checkpoint = resolve_classifier(str(folder), BOOLQ, tiny.Shelf(tmp_path / "cache"))
    assert checkpoint.folder != folder
    assert load_classifier(checkpoint.folder).num_labels == 2


def test_a_copy_for_its_tokenizer_stays_untrained_and_keeps_its_licence(folder: Path, tmp_path: Path) -> None:
    """What `bench train` wrote about a checkpoint, and what `bench export` looks for."""
    (folder / "LICENSE").write_text("terms")
    (folder / "training.json").write_text(json.dumps({"trained": False, "data_fingerprint": "d"}))
    configure(folder, do_lower_case=False)
    checkpoint = resolve_classifier(str(folder), BOOLQ, tiny.Shelf(tmp_path / "cache"))
    assert checkpoint.folder != folder
    assert (checkpoint.trained, checkpoint.trained_on) == (False, "d")
    assert find_licences(checkpoint)[0].text == "terms"


def _break_json(folder: Path) -> None:
    (folder / "tokenizer.json").write_text('{"model": ')


def _cut_vocabulary(folder: Path) -> None:
    path = folder / "tokenizer.json"
    definition = json.loads(path.read_text())
    definition["model"] = {"type": "BPE", "vocab": {"a": 0}, "merges": ["b c"]}
    path.write_text(json.dumps(definition))


def _broken_model(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").unlink()
    (folder / "spiece.model").write_bytes(b"not a model")
    configure(folder, tokenizer_class="AlbertTokenizer")


BROKEN = {"not JSON": _break_json, "merges of other pieces": _cut_vocabulary, "no model": _broken_model}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_tokenizer_is_found_before_a_worker_starts(folder: Path, tmp_path: Path, case: str) -> None:
    """One message with a remedy, whatever the library raises."""
    BROKEN[case](folder)
    with pytest.raises(CheckpointError, match="tokenizer") as caught:
        resolve_classifier(str(folder), BOOLQ, tiny.Shelf(tmp_path / "cache"))
    assert caught.value.remedy


def test_what_a_tokenizer_json_cannot_hold_is_refused(folder: Path, tmp_path: Path) -> None:
    """With split_special_tokens, transformers takes [SEP] in a text for four characters."""
    configure(folder, split_special_tokens=True)
    with pytest.raises(CheckpointError, match="split_special_tokens"):
        resolve_classifier(str(folder), BOOLQ, tiny.Shelf(tmp_path / "cache"))


def test_embeddings_that_were_not_resized_are_found_before_a_worker_starts(
    folder: Path, tmp_path: Path
) -> None:
    """Six tokens were added with transformers, and the embedding has rows for four of them."""
    tokenizer = reference(folder)
    rows = len(tokenizer) + 4
    tokenizer.add_tokens(["England", "Canada", "USA", "UN", "NFL", "Netflix"])
    tokenizer.save_pretrained(folder)
    message = rf"mine: .*embedding has {rows} rows.*'NFL' \({rows}\), 'Netflix' \({rows + 1}\)"
    with pytest.raises(CheckpointError, match=message) as caught:
        resolve_classifier(str(folder), BOOLQ, tiny.Shelf(tmp_path / "cache"))
    assert "resize_token_embeddings" in str(caught.value.remedy)
