"""Tiny tokenizers of the kinds that encoders have: SentencePiece, and BPE on bytes or characters."""

import base64
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import tiny
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

from baselines.encoding.word_rules import METASPACE

CHARSMAP = zlib.decompress(
    base64.b64decode(
        "eNod0wdsTVEcx/HfuSWiNIgIgiAiIqIiIiKIVGuv1iyxpaX23uPVbO2iKNpSna99tFUdFEVRPHtTe9ZI7b2+100++Z1z7vrnDJWR"
        "VFH25TBekruyJWO3EVpW6kB6wLOlVL61tLqdVI6+c6Hk1VTyxK4ABvws1SUctS05fKRlRZbs99szlky/AsnnHZVQBa6pUlWyGtKK"
        "LVUna6IW6qA+ElOkBvb7GVJDshEaown4raMZmiPfz0MtyCP+lijT0QqU6mgDynXEUEdHMraGpZVZlpzh/+tSW3Bfu4OMfMk9ZBwS"
        "QoziyaRoo8SRRikuo2Sk0nYeNnLRTttttC/CaG+UUcZ7o/QSo/1k5nejA5FGWfRzwo2yeSYvzyg3wyiQfxwkh5HDMQRDMQqjMQIj"
        "EYwxCIq3FESOw3iMRQgmYTImYCKmYTqmgGnVLMzGDMzEPMzHHMzFIizGArCMWoKl9gZAKFZgJZZhOVZhNcLA1Gkd1mMN1mIjNmED"
        "IrAFW7EZkdiOHdiGKMQgFjsRjTh77rHLXgskIgnxSIATqUgGW0J7sQ9pcCET+5EOtoqykYMsHLDnHIeQizwcwVHk4zCO2wqNCshj"
        "OIXTKMRJnMU5FOEMLuAi3DiPK7iKS7iMG7iJa7iOO7iLW7iN+3iAYtzDE7fR4wKjh7Qf4Tle4Cme4RVe4yVKUMrpLCXf4C0+4CPe"
        "2QKNvpBf8Qmf8QM/8Q3f8Qd/8Qu/7ZNfT/XcYfL29pYPB95XfhyXTuqsLuqqbuquHuqpXuotfwWoj/qqn/prgAayoQdpsIJDdCJF"
        "T5ZE6R+9fM99"
    )
)
"""Compiled by SentencePiece: full-width letters and a ligature become plain ones, other blanks a space."""

BYTES = pre_tokenizers.ByteLevel.alphabet()
LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
WORDS = (*tiny.WORDS, "a", "The", "Lake", "don't", "is.", "(the", "\u6e56", "caf\u00e9", "12", "\U0001f600")
_BLANK_RUNS = [AddedToken(" " * count, normalized=True) for count in range(2, 6)]


def unigram(*, byte_fallback: bool = False) -> models.Unigram:
    """Return pieces of words with scores, some of which are equal."""
    pieces = [
        METASPACE,
        *(METASPACE + word for word in WORDS),
        "ke",
        "ro",
        "zen",
        "),",
        "'s",
        "is",
        "the",
        "ee",
    ]
    letters = [chr(code) for code in range(33, 127) if chr(code) not in "~%"]
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)] if byte_fallback else []
    scored = [(piece, -1.5 * (3 + at % 4)) for at, piece in enumerate(dict.fromkeys([*pieces, *letters]))]
    vocabulary = [*((token, 0.0) for token in (*SPECIAL[:4], *bytes_)), *scored, ("<mask>", 0.0)]
    return models.Unigram(vocabulary, 3, byte_fallback)


def bpe(words: Sequence[str], alphabet: Sequence[str], **options: Any) -> models.BPE:
    """Return merges that make each word from its beginning, and others that get in their way."""
    vocabulary = {token: number for number, token in enumerate(dict.fromkeys([*SPECIAL, *sorted(alphabet)]))}
    pairs = [("z", "e"), ("i", "s"), ("e", "a")]
    pairs += [(word[:end], word[end]) for word in words for end in range(1, len(word))]
    merges = [pair for pair in dict.fromkeys(pairs) if set("".join(pair)) <= set(alphabet)]
    for pair in merges:
        vocabulary.setdefault("".join(pair), len(vocabulary))
    return models.BPE(vocabulary, merges, **options)


def byte_level(**options: Any) -> models.BPE:
    """Return merges of bytes, which stand for characters as GPT-2 writes them."""
    words = [
        "".join(piece for piece, _ in pre_tokenizers.ByteLevel(use_regex=False).pre_tokenize_str(word))
        for word in WORDS
    ]
    return bpe([*words, "\u0120\u0120", "\u010a\u010a"], BYTES, **options)


def _tokenizer(model: Any, normalizer: Any, pre_tokenizer: Any, *added: AddedToken) -> Tokenizer:
    tokenizer = Tokenizer(model)
    if normalizer:
        tokenizer.normalizer = normalizer
    if pre_tokenizer:
        tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.add_special_tokens([AddedToken(token, lstrip=token == "<mask>") for token in SPECIAL])
    tokenizer.add_tokens(list(added))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B:1 </s>:1",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in ("<s>", "</s>")],
    )
    return tokenizer


def _pieces(scheme: str = "always") -> Any:
    return pre_tokenizers.Metaspace(METASPACE, scheme)


def _words_then_pieces(scheme: str = "always") -> Any:
    return pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), _pieces(scheme)])


def _in_turn(*steps: Any) -> Any:
    return normalizers.Sequence(list(steps))


def _precompiled() -> Any:
    return normalizers.Precompiled(CHARSMAP)


def _albert() -> Tokenizer:
    quotes = (normalizers.Replace("``", '"'), normalizers.Replace("''", '"'))
    plain = (normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase(), _precompiled())
    return _tokenizer(unigram(), _in_turn(*quotes, *plain), _words_then_pieces())


def _deberta(scheme: str = "always") -> Tokenizer:
    steps = (
        normalizers.Replace(Regex(r"\s{2,}|[\n\r\t]"), " "),
        normalizers.NFC(),
        normalizers.Strip(left=False),
    )
    return _tokenizer(unigram(), _in_turn(*steps), pre_tokenizers.Sequence([_pieces(scheme)]))


def _modernbert() -> Tokenizer:
    added = [
        AddedToken("|||EMAIL|||", normalized=True),
        AddedToken("[unused0]", normalized=True),
        *_BLANK_RUNS,
    ]
    return _tokenizer(
        byte_level(), normalizers.NFC(), pre_tokenizers.ByteLevel(add_prefix_space=False), *added
    )


def _eurobert() -> Tokenizer:
    split = pre_tokenizers.Split(Regex(LLAMA_3), "isolated")
    bytes_ = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return _tokenizer(byte_level(ignore_merges=True), None, pre_tokenizers.Sequence([split, bytes_]))


def whole_text_model(*more: str) -> models.BPE:
    """Return merges of characters, as Gemma's: of words with their space before them, and of spaces."""
    bytes_ = {f"<0x{byte:02X}>" for byte in range(256)}
    words = [*(METASPACE + word for word in WORDS), *(METASPACE * count for count in (2, 3, 4)), *more]
    letters = {*map(chr, range(33, 127)), METASPACE, "\n"}
    options = {"unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True}
    model = bpe(words, [*letters], **options)
    fields = json.loads(Tokenizer(model).to_str())["model"]
    vocabulary = fields["vocab"]
    for token in sorted(bytes_ - vocabulary.keys()):
        vocabulary[token] = len(vocabulary)
    return models.BPE(vocabulary, [tuple(pair) for pair in fields["merges"]], **options)


def _mmbert() -> Tokenizer:
    split = pre_tokenizers.Split(" ", "merged_with_previous")
    added = [
        AddedToken(text, normalized=False)
        for text in ("\n\n", "\t\t", METASPACE * 2, METASPACE * 3, "<table>")
    ]
    return _tokenizer(whole_text_model(), normalizers.Replace(" ", METASPACE), split, *added)


def _llama_2() -> Tokenizer:
    steps = _in_turn(normalizers.Prepend(METASPACE), normalizers.Replace(" ", METASPACE))
    return _tokenizer(whole_text_model(), steps, None)


KINDS: Mapping[str, Callable[[], Tokenizer]] = {
    "xlm-r": lambda: _tokenizer(unigram(), _precompiled(), _words_then_pieces()),
    "xlm-r, no space before the first word": lambda: _tokenizer(
        unigram(), _precompiled(), _words_then_pieces("never")
    ),
    "sentencepiece": lambda: _tokenizer(
        unigram(),
        _in_turn(
            normalizers.Strip(left=True, right=True),
            _precompiled(),
            normalizers.Replace(Regex(" {2,}"), METASPACE),
        ),
        _pieces(),
    ),
    "byte fallback": lambda: _tokenizer(unigram(byte_fallback=True), None, _pieces("first")),
    "albert": _albert,
    "deberta-v3": _deberta,
    "deberta-v3, split at marks": lambda: _tokenizer(
        unigram(), normalizers.NFKC(), pre_tokenizers.Sequence([pre_tokenizers.Punctuation(), _pieces()])
    ),
    "roberta": lambda: _tokenizer(byte_level(), None, pre_tokenizers.ByteLevel(add_prefix_space=False)),
    "roberta, space before": lambda: _tokenizer(
        byte_level(), None, pre_tokenizers.ByteLevel(add_prefix_space=True)
    ),
    "modernbert": _modernbert,
    "eurobert": _eurobert,
    "mmbert": _mmbert,
    "llama 2": _llama_2,
}
"""Tokenizers by the encoders that have one of their kind."""


@cache
def tokenizer_of(kind: str) -> Tokenizer:
    """Return a kind's tokenizer."""
    return KINDS[kind]()


def checkpoint_text_side(folder: Path, tokenizer: Tokenizer) -> Path:
    """Write what encoding reads of a checkpoint: a tokenizer and its padding; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(json.dumps({"model_type": "x", "pad_token_id": 1}))
    return folder
