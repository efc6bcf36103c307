"""The text classifier in the folder above as a runtime of MLServer: texts in, names of labels out.

    pip install -r requirements.txt -r requirements-mlserver.txt
    MLSERVER_PARALLEL_WORKERS=0 mlserver start mlserver-model

`model-settings.json` names this module. Requests are computed one at a time, in a thread of their own.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

from mlserver import MLModel
from mlserver.codecs import StringCodec
from mlserver.errors import InferenceError
from mlserver.types import InferenceRequest, InferenceResponse

FOLDER = Path(__file__).resolve().parent.parent


class ClassifierRuntime(MLModel):  # type: ignore[misc]
    """The classifier of a folder as MLServer calls it."""

    async def load(self) -> bool:
        """Load the classifier."""
        sys.path.insert(0, str(FOLDER))
        import serve  # type: ignore[import-not-found]

        self._serve: Any = serve
        self._classifier: Any = serve.Classifier(FOLDER)
        self._one_at_a_time = asyncio.Lock()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Return the label of each text; an error for a request of another form."""
        columns = {tensor.name: StringCodec.decode_input(tensor) for tensor in payload.inputs}
        if len({len(column) for column in columns.values()}) > 1:
            raise InferenceError("the inputs must have equal lengths")
        inputs = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        async with self._one_at_a_time:
            try:
                answer = await asyncio.to_thread(self._classifier.answer, {"inputs": inputs})
            except self._serve.INVALID as problem:
                raise InferenceError(str(problem)) from None
        return InferenceResponse(
            model_name=self.name,
            outputs=[StringCodec.encode_output("label", answer["label"])],
        )
