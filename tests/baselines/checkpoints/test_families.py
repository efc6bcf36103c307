"""Encoder families: each is loaded, encoded for, exported, quantised and trained, with both kinds of head."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny

from baselines.checkpoints.families import FAMILIES as SHIPPED
from baselines.checkpoints.folder import read_config
from baselines.encoding.tokenizer import TextEncoder
from baselines.engines.agreement import probes
from baselines.engines.onnx.runtime import OnnxVariant
from baselines.engines.pytorch import VARIANTS
from baselines.models.resolve import resolve_classifier
from baselines.models.transformers_settings import quiet_transformers
from baselines.training.datasets import TrainingSettings
from baselines.training.finetune import finetune
from harness.common.errors import CheckpointError
from harness.systems.interface import PreparationSources, Settings
from harness.workload.tasks import get_task
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example, Logits, TextInput
from optimized.quantization.onnx_dynamic import Int8Variant

FIXED, DYNAMIC = VARIANTS
WIDE = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64,
    "initializer_range": 0.2,
}  # fmt: skip
LONGEST = 128
TASKS = {"sequence": get_task("cb"), "span": get_task("wic")}


def write_wordpiece(folder: Path) -> dict[str, Any]:
    """As BERT's: [CLS] A [SEP] B [SEP], two segments."""
    tiny.write_tokenizer(folder)
    return {"vocab_size": len(tiny.vocabulary()), "pad_token_id": 0}


def write_mpnet(folder: Path) -> dict[str, Any]:
    """WordPiece between <s> A </s></s> B </s>, one segment."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    tokens = ["<s>", "<pad>", "</s>", "[UNK]", "<mask>", *tiny.vocabulary()[len(tiny.SPECIAL) :]]
    tokenizer = Tokenizer(models.WordPiece({token: at for at, token in enumerate(tokens)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(tokens[:5])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    return {"vocab_size": len(tokens), "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}


def _byte_level(special: Sequence[str] = ()) -> Any:
    """Return byte pairs learned from a few texts, with these special tokens at the beginning."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    texts = [text.first for example in tiny.task_examples(TASKS["span"], 40) for text in example.inputs]
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=list(special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def write_roberta(folder: Path) -> dict[str, Any]:
    """Byte pairs between <s> A </s></s> B </s>; the padding's id is 1 in every RoBERTa."""
    from tokenizers import processors

    tokenizer = _byte_level(("<s>", "<pad>", "</s>", "<unk>", "<mask>"))
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    tokenizer.save(str(folder / "tokenizer.json"))
    size = tokenizer.get_vocab_size()
    return {"vocab_size": size, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}


def write_modernbert(folder: Path) -> dict[str, Any]:
    """Byte pairs between [CLS] A [SEP] B [SEP], the special tokens at the end of the vocabulary."""
    from tokenizers import processors

    tokenizer = _byte_level()
    first = tokenizer.get_vocab_size()
    special = ["[UNK]", "[CLS]", "[SEP]", "[MASK]", "[PAD]"]
    tokenizer.add_special_tokens(special)
    ids = {token: first + at for at, token in enumerate(special)}
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[(token, ids[token]) for token in ("[CLS]", "[SEP]")],
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    named = {"pad": "[PAD]", "cls": "[CLS]", "sep": "[SEP]", "bos": "[CLS]", "eos": "[SEP]"}
    return {
        "vocab_size": first + len(special),
        **{f"{name}_token_id": ids[token] for name, token in named.items()},
    }


@dataclass(frozen=True, slots=True)
class Family:
    """How a tiny model of a family is made, what its graph reads, and whether its attention is fused."""

    name: str
    architecture: str
    write_tokenizer: Callable[[Path], dict[str, Any]]
    config: dict[str, Any] = field(default_factory=lambda: WIDE)
    positions: int = LONGEST
    segments: bool = False
    fused: bool = False


DISTIL = {
    "dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64, "initializer_range": 0.2,
}  # fmt: skip
FAMILIES = (
    Family("bert", "Bert", write_wordpiece, segments=True, fused=True),
    # 384 wide with 12 heads and 6 layers, here a twelfth of that
    Family(
        "minilm",
        "Bert",
        write_wordpiece,
        {**WIDE, "num_attention_heads": 4, "num_hidden_layers": 3, "intermediate_size": 128},
        segments=True,
        fused=True,
    ),
    Family("distilbert", "DistilBert", write_wordpiece, DISTIL, fused=True),
    Family("electra", "Electra", write_wordpiece, {**WIDE, "embedding_size": 16}, segments=True, fused=True),
    Family("roberta", "Roberta", write_roberta, {**WIDE, "type_vocab_size": 1}, LONGEST + 2, fused=True),
    Family("mpnet", "MPNet", write_mpnet, positions=LONGEST + 2),
    # local attention in the second layer, over 16 tokens, so that short texts reach beyond it
    Family(
        "modernbert", "ModernBert", write_modernbert,
        {**WIDE, "local_attention": 16, "global_attn_every_n_layers": 2},
    ),
)  # fmt: skip
every_family = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
both_heads = pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for checkpoints and caches, so that each is made once."""
    return tmp_path_factory.mktemp("families")


def checkpoint(shelf: Path, family: Family, task: Task | None) -> Path:
    """Return the family's checkpoint with the head of a task, or without one."""
    folder = shelf / f"{family.name}-{task.name if task else 'encoder'}"
    if folder.exists():
        return folder
    import torch
    import transformers

    from baselines.models.span_classifier import SpanClassifier

    folder.mkdir()
    settings = {
        **family.config,
        **family.write_tokenizer(folder),
        "max_position_embeddings": family.positions,
    }
    if task:
        settings |= {"id2label": dict(enumerate(task.labels))}
        settings |= {"label2id": {label: column for column, label in enumerate(task.labels)}}
    headed = task is not None and task.head == "sequence"
    kind = f"{family.architecture}{'ForSequenceClassification' if headed else 'Model'}"
    config = getattr(transformers, f"{family.architecture}Config")(**settings)
    torch.manual_seed(0)
    with quiet_transformers():
        model = getattr(transformers, kind)(config)
        if task and task.head == "span":
            model = SpanClassifier(model, len(task.labels))
        model.save_pretrained(folder)
    return folder


def examples_for(task: Task) -> list[Example]:
    """Return examples of different lengths, so that some are padded in a call and some are cut."""
    short = tiny.examples(3, longest=12, gold=task.labels) if task.head == "sequence" else []
    return [*short, *tiny.task_examples(task)]


def logits_for(variant: Any, folder: Path, task: Task, cache: Path) -> Logits:
    system = tiny.opened(variant, task, folder, cache, Settings(LONGEST, batch=4))
    logits: Logits = system.predict(system.encode(examples_for(task))).logits
    return logits


@every_family
@both_heads
def test_every_engine_answers_for_the_family_as_plain_pytorch_does(
    shelf: Path, family: Family, task: Task
) -> None:
    """Padded to 128 tokens, not padded, and as a graph: the same logits."""
    folder = checkpoint(shelf, family, task)
    assert resolve_classifier(str(folder), task, tiny.Shelf(shelf)).trained
    cache = shelf / "cache"
    expected = logits_for(FIXED, folder, task, cache)
    assert expected.shape == (len(examples_for(task)), len(task.labels))
    assert np.ptp(expected[:, 0]) > 0.01, "answers that do not vary cannot show a difference"
    np.testing.assert_allclose(logits_for(DYNAMIC, folder, task, cache), expected, atol=1e-4)
    np.testing.assert_allclose(logits_for(OnnxVariant(), folder, task, cache), expected, atol=1e-4)


@every_family
@both_heads
def test_int8_of_the_family_is_close_and_its_manifest_names_the_graph(
    shelf: Path, family: Family, task: Task
) -> None:
    """Within its bound of fp32; if the optimiser recognises no attention, only the raw graph is left."""
    folder = checkpoint(shelf, family, task)
    shop = tiny.preparation_context(shelf / "cache", {"raw": 2.0, "fused": 1.0})
    artifact = Int8Variant().prepare(task, tiny.sources(folder, task=task), tiny.LONG, shop)
    manifest = artifact.manifest
    assert 0 < manifest["agreement"]["max_logit_difference"] <= manifest["agreement"]["bound"]
    assert manifest["graph"] == ("fused" if family.fused else "raw"), manifest["fusion"]
    if not family.fused:
        assert manifest["fusion"].startswith("unavailable, because ")
    system = Int8Variant().load(task, artifact, tiny.CPU, tiny.LONG)
    assert len(system.predict(system.encode(tiny.task_examples(task))).logits) >= 4


@every_family
@both_heads
def test_a_graph_of_the_family_reads_what_its_model_reads(shelf: Path, family: Family, task: Task) -> None:
    """Segments where there are two of them, spans where the head reads them, and nothing else."""
    shop = tiny.preparation_context(shelf / "cache")
    folder = checkpoint(shelf, family, task)
    manifest = OnnxVariant().prepare(task, tiny.sources(folder, task=task), tiny.LONG, shop).manifest
    segments = ["token_type_ids"] if family.segments else []
    spans = ["spans"] if task.head == "span" else []
    assert manifest["inputs"] == ["input_ids", "attention_mask", *segments, *spans]


@every_family
def test_candidates_are_encoded_as_the_familys_tokenizer_does(shelf: Path, family: Family) -> None:
    """With a first text that is tokenised once for all: ids and segments of each pair on its own."""
    from tokenizers import Tokenizer

    folder = checkpoint(shelf, family, TASKS["sequence"])
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    first = "The lake is frozen, people skate. " * 2
    seconds = ("is it winter?", "", "Ein Satz für alle")
    for length in (128, 16):
        example = Example("0", tuple(TextInput(first, second) for second in seconds))
        (request,) = TextEncoder(folder, length).encode([example])
        tokenizer.no_truncation()
        whole = [tokenizer.encode(first, second) for second in seconds]
        if length == 16:
            assert all(len(encoding) > 16 for encoding in whole)
            tokenizer.enable_truncation(16, strategy="only_first")
        expected = [
            tokenizer.encode(first, second)
            if len(encoding.ids) - 16 < encoding.sequence_ids.count(0)
            else None
            for encoding, second in zip(whole, seconds, strict=True)
        ]
        for sequence, encoding in zip(request.sequences, expected, strict=True):
            if encoding is not None:
                assert sequence.ids.tolist() == encoding.ids
                assert sequence.segments.tolist() == encoding.type_ids


@every_family
def test_spans_cover_their_words_whatever_the_tokenizer(shelf: Path, family: Family) -> None:
    """The tokens of each span, put together again, are the word that it points at."""
    from tokenizers import Tokenizer

    task = TASKS["span"]
    folder = checkpoint(shelf, family, task)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    examples = tiny.task_examples(task, 6)
    for example, request in zip(examples, TextEncoder(folder, 128).encode(examples), strict=True):
        (text,), (sequence,) = example.inputs, request.sequences
        for span, (start, end) in zip(text.spans, sequence.spans, strict=True):
            word = (text.first, text.second or "")[span.text][span.start : span.end]
            assert tokenizer.decode(sequence.ids[start:end].tolist()).strip().lower() == word.lower()


@every_family
def test_an_encoder_of_the_family_is_trained_for_spans(shelf: Path, family: Family, tmp_path: Path) -> None:
    """Without a head it gets one; after one epoch the folder loads and has the recorded score."""
    import torch

    torch.set_num_threads(1)
    task = TASKS["span"]
    model = tiny.checkpoint_of(checkpoint(shelf, family, None))
    examples = tiny.task_examples(task, 8)
    quick = TrainingSettings(epochs=1, batch=4, learning_rate=1e-3, max_length=128, bf16=False)
    record = finetune(task, examples, examples, model, tmp_path / "made", tuning=quick)
    trained = resolve_classifier(str(tmp_path / "made"), task, tiny.Shelf(tmp_path))
    artifact = DYNAMIC.prepare(
        task, PreparationSources(trained), tiny.LONG, tiny.preparation_context(tmp_path)
    )
    system = DYNAMIC.load(task, artifact, tiny.CPU, tiny.LONG)
    predictions = system.predict(system.encode(examples))
    assert task.scoring(examples, task.decide(predictions.logits, predictions.offsets)) == record["val"]


def test_a_family_that_calls_its_pooler_can_have_the_head_for_spans(shelf: Path) -> None:
    """SqueezeBERT pools whether or not there is anything to pool with."""
    family = Family("squeezebert", "SqueezeBert", write_wordpiece, {**WIDE, "embedding_size": 32})
    folder = checkpoint(shelf, family, TASKS["span"])
    assert np.ptp(logits_for(DYNAMIC, folder, TASKS["span"], shelf / "cache")[:, 0]) > 0.01


def test_a_family_that_cannot_be_exported_is_refused_with_what_can_be_used(shelf: Path) -> None:
    """Longformer's windows become part of its graph, which then runs at no other length; PyTorch answers."""
    narrow = {**WIDE, "attention_window": 16, "type_vocab_size": 1}
    family = Family("longformer", "Longformer", write_roberta, narrow, LONGEST + 2)
    folder = checkpoint(shelf, family, TASKS["sequence"])
    assert np.isfinite(logits_for(DYNAMIC, folder, TASKS["sequence"], shelf / "cache")).all()
    for variant in (OnnxVariant(), Int8Variant()):
        with pytest.raises(CheckpointError, match="no ONNX graph that runs at every length") as caught:
            logits_for(variant, folder, TASKS["sequence"], shelf / variant.name)
        assert caught.value.where == "tiny"
        assert caught.value.remedy is not None
        assert "use pytorch-dynamic" in caught.value.remedy


@every_family
def test_probes_are_texts_of_many_tokens_without_padding(shelf: Path, family: Family) -> None:
    """Also where the padding's id is the last of the vocabulary."""
    config = read_config(checkpoint(shelf, family, TASKS["sequence"]))
    for padded in probes(config):
        real = padded.ids[padded.mask == 1]
        assert (real != config["pad_token_id"]).all()
        assert 0 <= real.min() <= real.max() < config["vocab_size"]
        assert len(set(real.tolist())) > len(real) / 8


def test_bench_list_names_every_family_that_is_tested_here() -> None:
    """And gives a reason for Longformer, which the test above shows."""
    listed = {name: reason for name, _, reason in SHIPPED}
    assert set(listed) == {*(family.name for family in FAMILIES), "longformer"}
    assert [name for name, reason in listed.items() if reason] == ["longformer"]
