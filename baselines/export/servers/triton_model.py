"""The text classifier three folders above as a model of Triton's Python backend: texts in, labels out."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

FOLDER = Path(__file__).resolve().parents[3]


class TritonPythonModel:
    """The classifier of a folder as Triton calls it; `config.pbtxt` names its tensors."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Load the classifier."""
        del args
        sys.path.insert(0, str(FOLDER))
        import serve  # type: ignore[import-not-found]

        self._serve: Any = serve
        self._classifier: Any = serve.Classifier(FOLDER)
        self._names = ["first", "second"] if self._classifier.settings["pair"] else ["first"]

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Return a response with a label for each text, or with an error, for each request."""
        return [self._response(request) for request in requests]

    def _response(self, request: Any) -> Any:  # noqa: ANN401 -- Triton's own types
        try:
            columns = [
                [
                    text.decode()
                    for text in pb_utils.get_input_tensor_by_name(request, name).as_numpy().ravel()
                ]
                for name in self._names
            ]
            inputs = [dict(zip(self._names, row, strict=True)) for row in zip(*columns, strict=True)]
            labels = self._classifier.answer({"inputs": inputs})["label"]
        except self._serve.INVALID as problem:
            return pb_utils.InferenceResponse(output_tensors=[], error=pb_utils.TritonError(str(problem)))
        tensor = pb_utils.Tensor("label", np.array([label.encode() for label in labels], dtype=object))
        return pb_utils.InferenceResponse(output_tensors=[tensor])
