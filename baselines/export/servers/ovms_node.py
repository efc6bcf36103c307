"""The text classifier two folders above as a Python node of OpenVINO Model Server: texts in, labels out.

`graph.pbtxt` beside this file names its tensors. Texts arrive, and labels leave, as bytes, each behind its
length in four bytes.
"""

import struct
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyovms import Tensor

FOLDER = Path(__file__).resolve().parents[2]
_LENGTH = struct.Struct("<I")


class OvmsPythonModel:
    """The classifier of a folder as the server calls it; an exception is the server's answer to a client."""

    def initialize(self, kwargs: dict[str, Any]) -> None:
        """Load the classifier."""
        del kwargs
        sys.path.insert(0, str(FOLDER))
        import serve  # type: ignore[import-not-found]

        self._classifier: Any = serve.Classifier(FOLDER)

    def execute(self, inputs: Sequence[Any]) -> list[Any]:
        """Return the label of each text."""
        columns = {tensor.name: _texts(bytes(tensor)) for tensor in inputs}
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        labels = [label.encode() for label in self._classifier.answer({"inputs": rows})["label"]]
        content = b"".join(_LENGTH.pack(len(label)) + label for label in labels)
        return [Tensor("label", content, shape=[len(labels)], datatype="BYTES")]


def _texts(content: bytes) -> list[str]:
    """Return the texts of a tensor of type BYTES."""
    texts, start = [], 0
    while start < len(content):
        (size,) = _LENGTH.unpack_from(content, start)
        start += _LENGTH.size + size
        texts.append(content[start - size : start].decode())
    return texts
