"""How much of a request is its text: CPU time of tokenizers beside that of small encoders (a minute or two).

    python -m devtools.text_path [--task boolq] [--data DIR] [--vocabulary 8000] [--shapes 12L-768,6L-384]

    texts of the training split --train--> a tokenizer of each kind
    texts of the validation split --library; fast, words new; fast, words known--> microseconds a request
    their lengths --native-int8, random weights, one thread--> the share of the text in a request

Vocabularies are trained here, so that pieces are those of real ones in kind, not in number. The characters'
map of SentencePiece is not in the tokenizers library: NFKC stands for it.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sequences import sequence
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
LONGEST = 512


@dataclass(frozen=True, slots=True)
class Times:
    """CPU microseconds a request: of the library, and of the fast tokenizer on new and on known words."""

    reference: float
    new: float
    known: float


def _unigram(texts: Sequence[str], size: int) -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    splits = [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(splits)
    trainer = trainers.UnigramTrainer(
        vocab_size=size, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _deberta(texts: Sequence[str], size: int) -> Tokenizer:
    tokenizer = _unigram(texts, size)
    spaces = normalizers.Replace(Regex(" {2,}"), " ")
    tokenizer.normalizer = normalizers.Sequence([normalizers.Strip(), normalizers.NFKC(), spaces])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    return tokenizer


def _byte_level(texts: Sequence[str], size: int) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


KINDS: Mapping[str, Callable[[Sequence[str], int], Tokenizer]] = {
    "Unigram (XLM-R, CamemBERT)": _unigram,
    "Unigram, blanks kept (DeBERTa-v3)": _deberta,
    "byte-level BPE (RoBERTa, ModernBERT)": _byte_level,
}


def saved(tokenizer: Tokenizer, folder: Path) -> Path:
    """Write what encoding reads of a checkpoint."""
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in ("<s>", "</s>")],
    )
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(json.dumps({"model_type": "x", "pad_token_id": 1}))
    return folder


def times_of(folder: Path, examples: Sequence[Any]) -> tuple[Times, list[int]]:
    """Return the CPU times of a tokenizer, and the lengths in tokens."""
    from baselines.encoding.lengths import check_tokens, count_tokens

    check = check_tokens(folder, examples, LONGEST)
    if check.fallback_reason or check.differing:
        raise SystemExit(
            f"{folder.name}: {check.fallback_reason or 'the ids differ from those of the library'}"
        )
    micro = 1e6 / len(examples)
    times = Times(check.reference_seconds * micro, check.seconds * micro, check.seconds_again * micro)
    return times, list(count_tokens(folder, examples, LONGEST).lengths)


def encoder_microseconds(shape: str, lengths: Sequence[int], requests: int = 40) -> float:
    """Return the CPU time of `native-int8` a request of these lengths, on one thread."""
    import tiny

    from baselines.hardware.c_program import compiler
    from baselines.models.classifier import load_classifier
    from harness.workload.tasks.superglue.boolq import BOOLQ
    from optimized.native import build
    from optimized.native.engine import Engine, Library
    from optimized.native.weights import extract
    from optimized.recipes.random_shape import resolve_shape

    level, command = build.level_of(build.flags_here()), compiler()
    if level is None or command is None:
        raise SystemExit("needs a C compiler and a CPU with AVX2")
    with tempfile.TemporaryDirectory() as folder:
        build.build(Path(folder) / "encoder.so", level.options, command)
        library = Library(Path(folder) / "encoder.so")
        checkpoint = resolve_shape(f"shape:{shape}", BOOLQ, tiny.Shelf(Path(folder)))
        fields, arrays = extract(load_classifier(checkpoint.folder), library.layout, shape)
    engine = Engine(library, fields, arrays, 1, LONGEST)
    chosen = np.random.default_rng(0).choice(lengths, requests)
    inputs = [sequence(int(length), seed=at) for at, length in enumerate(chosen)]
    for one in inputs[:4]:
        engine.answer([one])
    start = time.process_time()
    for one in inputs:
        engine.answer([one])
    seconds = time.process_time() - start
    engine.close()
    return 1e6 * seconds / requests


def rows(times: Mapping[str, Times], encoders: Mapping[str, float]) -> Iterator[str]:
    """Yield the table: the share of the text in a request, by the library and with known words."""
    shapes = " | ".join(f"{shape}, {microseconds / 1e3:.2f} ms" for shape, microseconds in encoders.items())
    yield f"| tokenizer | library | new words | known words | {shapes} |"
    yield "|---|" + "---:|" * (3 + len(encoders))
    for kind, each in times.items():
        shares = [
            f"{before / (before + encoder):.1%}, {after / (after + encoder):.1%}"
            for encoder in encoders.values()
            for before, after in [(each.reference, each.known)]
        ]
        yield f"| {kind} | {each.reference:.0f} | {each.new:.0f} | {each.known:.0f} | {' | '.join(shares)} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    from harness.workload.data import embedded_data, load_split, local_data
    from harness.workload.tasks import get_task

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--task", default="boolq")
    parser.add_argument(
        "--data", type=Path, help="a folder in the official layout; the embedded sample without"
    )
    parser.add_argument("--vocabulary", type=int, default=8000)
    parser.add_argument("--shapes", default="12L-768,6L-384,4L-312")
    parser.add_argument("--examples", type=int, default=2000)
    options = parser.parse_args(arguments)
    task = get_task(options.task)
    times, lengths = {}, [0]
    with tempfile.TemporaryDirectory() as root:
        data = local_data(options.data) if options.data else embedded_data(Path(root), task)
        training, validation = (load_split(task, data, name).examples for name in ("train", "val"))
        texts = [
            text for one in training for each in one.inputs for text in (each.first, each.second) if text
        ]
        for number, (kind, train) in enumerate(KINDS.items()):
            folder = saved(train(texts, options.vocabulary), Path(root) / str(number))
            times[kind], lengths = times_of(folder, validation[: options.examples])
    encoders = {shape: encoder_microseconds(shape, lengths) for shape in options.shapes.split(",")}
    sys.stdout.write("".join(f"{line}\n" for line in rows(times, encoders)))


if __name__ == "__main__":
    main()
