"""Tiny random classifiers of families that pool or pad in other ways than BERT, with a word tokenizer."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tiny

from baselines.models.transformers_settings import quiet_transformers

LABELS = ("false", "true")
SIZE = {"vocab_size": len(tiny.vocabulary()), "initializer_range": 0.4}


def _gpt2(**changed: Any) -> Any:
    from transformers import GPT2Config

    sizes = {"n_positions": 64, "n_embd": 32, "n_layer": 2, "n_head": 2}
    special = {"bos_token_id": 2, "eos_token_id": 3}
    return GPT2Config(**{**SIZE, **sizes, **special, **changed})


def _xlnet(**changed: Any) -> Any:
    from transformers import XLNetConfig

    sizes = {"d_model": 32, "n_layer": 2, "n_head": 2, "d_inner": 64, "pad_token_id": 0}
    return XLNetConfig(**{**SIZE, **sizes, **changed})


def _fnet(**changed: Any) -> Any:
    from transformers import FNetConfig

    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 64, "pad_token_id": 0}
    return FNetConfig(**{**SIZE, **sizes, "max_position_embeddings": 64, "type_vocab_size": 2, **changed})


def _bart(**changed: Any) -> Any:
    from transformers import BartConfig

    sides = ("encoder", "decoder")
    sizes = {f"{side}_{name}": value for side in sides for name, value in _BART_SIDE.items()}
    special = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0, "decoder_start_token_id": 3}
    common = {"d_model": 32, "max_position_embeddings": 64, "init_std": 0.4, "vocab_size": SIZE["vocab_size"]}
    return BartConfig(**{**common, **sizes, **special, **changed})


_BART_SIDE = {"layers": 1, "attention_heads": 2, "ffn_dim": 64}
_CONFIGS: dict[str, Callable[..., Any]] = {"gpt2": _gpt2, "xlnet": _xlnet, "fnet": _fnet, "bart": _bart}


def family_checkpoint(
    folder: Path,
    family: str,
    labels: Sequence[str] = LABELS,
    *,
    padding_token: str | None = "[PAD]",
    padding_side: str = "right",
    types: bool = False,
    **changed: Any,
) -> Path:
    """Write a random classifier of a family, and the tokenizer that its documentation describes."""
    import torch
    from transformers import AutoModelForSequenceClassification

    folder.mkdir(parents=True, exist_ok=True)
    names = {"id2label": dict(enumerate(labels)), "label2id": {name: at for at, name in enumerate(labels)}}
    torch.manual_seed(0)
    with quiet_transformers():
        config = _CONFIGS[family](**names, **changed)
        AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    tiny.write_tokenizer(folder)
    named = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": 64,
        "padding_side": padding_side,
        "model_input_names": ["input_ids", *(["token_type_ids"] if types else []), "attention_mask"],
        "eos_token": "[SEP]",
        "unk_token": "[UNK]",
        **({"pad_token": padding_token} if padding_token else {}),
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(named))
    return folder
