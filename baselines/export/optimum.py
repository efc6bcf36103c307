"""The files beside a graph with which `optimum` loads an exported folder: configuration and tokenizer.

ORTModelForSequenceClassification.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from baselines.checkpoints.folder import CONFIG, TOKENIZER, read_config
from baselines.engines.onnx.runtime import GRAPH

_OF_A_MACHINE = ("_name_or_path", "transformers_version", "_attn_implementation", "auto_map")
"""Fields that hold paths, or ask for code that is not in the folder."""


def optimum_files(folder: Path, max_length: int) -> Mapping[str, str]:
    """Return the files by name, for an artifact's folder; no tokenizer class of one version is named."""
    import onnx
    from tokenizers import Tokenizer

    config = {name: value for name, value in read_config(folder).items() if name not in _OF_A_MACHINE}
    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    inputs = {item.name for item in onnx.load(str(folder / GRAPH), load_external_data=False).graph.input}
    names = [name for name in ("input_ids", "token_type_ids", "attention_mask") if name in inputs]
    fields: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": max_length,
        "model_input_names": names,
        "pad_token": tokenizer.id_to_token(int(config.get("pad_token_id") or 0)),
    }
    return {
        CONFIG: json.dumps(config, indent=1) + "\n",
        "tokenizer_config.json": json.dumps(fields, indent=1) + "\n",
    }
