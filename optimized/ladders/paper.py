"""The ladder of Table 3 of FastFormers (Kim and Hassan Awadalla 2020), with the figures printed there.

The figures are those of trained models on the paper's machine (BoolQ's validation split, questions one by
one, Azure F16s_v2 with 16 vCPU). Reports show them beside the measurements and never mix the two. The rungs
are the same architectures with random weights, so they measure speed and energy only.
"""

from dataclasses import asdict, dataclass
from typing import Any

from optimized.recipes.random_shape import SHAPES


@dataclass(frozen=True, slots=True)
class PaperRow:
    """A row of the printed table.

    `time_s` is the time of all 3,270 questions, `cumulative` the speed-up over the first row, `accuracy` in
    percent, `usd_per_100m` the price of 100 million questions. The last two rows are alternatives, each
    compared with the multi-instance row.
    """

    rung: str
    time_s: float
    cumulative: float
    accuracy: float
    usd_per_100m: int
    about: str

    @property
    def reference(self) -> dict[str, float]:
        """The `reference` of a rung: the printed figures."""
        return {"time_s": self.time_s, "cumulative": self.cumulative, "quality": self.accuracy}


TABLE_3 = (
    PaperRow("fixed 512", 734.35, 1.0, 74.01, 4223, "PyTorch 12L-768, every question padded to 512 tokens"),
    PaperRow("dynamic", 209.29, 3.51, 74.01, 1204, "the same without padding"),
    PaperRow(
        "4L-312", 22.50, 32.64, 74.04, 129, "a student of 4 layers, 312 wide, 12 heads, 1,200 FFN units"
    ),
    PaperRow("int8", 9.97, 73.66, 73.43, 57, "ONNX Runtime, int8 and graph optimisation"),
    PaperRow("multi-instance", 5.68, 129.29, 73.43, 33, "a process for each core, one thread each"),
    PaperRow("9h-900", 4.11, 178.67, 73.36, 24, "25 % of heads and 25 % of FFN units pruned, ReLU"),
    PaperRow("8h-600", 3.14, 233.87, 72.81, 18, "33 % of heads and 50 % of FFN units pruned, ReLU"),
)
"""The rows of the paper's CPU ladder on BoolQ."""


def shape_of(name: str) -> list[dict[str, Any]]:
    """Return the recipes of a rung that has the shape called `name`."""
    return [{"shape": {key: value for key, value in asdict(SHAPES[name]).items() if value is not None}}]


_RUNG_FIELDS: dict[str, dict[str, Any]] = {
    "fixed 512": {"engine": "pytorch-fixed"},
    "dynamic": {"engine": "pytorch-dynamic"},
    "4L-312": {"engine": "pytorch-dynamic", "recipes": shape_of("4L-312")},
    "int8": {"like": "4L-312", "engine": "onnx-int8"},
    "multi-instance": {"like": "int8", "instances": "cores"},
    "9h-900": {"like": "multi-instance", "recipes": shape_of("4L-312-9h-900"), "over": "multi-instance"},
    "8h-600": {"like": "multi-instance", "recipes": shape_of("4L-312-8h-600"), "over": "multi-instance"},
}

_NATIVE_RUNG: dict[str, Any] = {
    "name": "8h-600 native",
    "engine": "native-int8",
    "recipes": shape_of("4L-312-8h-600"),
    "over": "8h-600",
    "optional": True,
    "about": "the last shape in this project's own compiled encoder, in one process",
}
"""A rung that the paper does not have, so it has no `reference`."""

PAPER: dict[str, Any] = {
    "name": "paper",
    "rungs": [
        *(
            {"name": row.rung, **_RUNG_FIELDS[row.rung], "about": row.about, "reference": row.reference}
            for row in TABLE_3
        ),
        _NATIVE_RUNG,
    ],
}
"""The ladder. Its baseline is `shape:12L-768` with 512 tokens (`optimized/recipes/random_shape.py`)."""
