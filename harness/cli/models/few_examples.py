"""Options of `bench train` for tasks with few training examples, and for learning curves."""

from dataclasses import fields
from typing import TYPE_CHECKING, Annotated

from harness.cli.options.groups import OptionGroup
from harness.cli.options.panels import amount_option, how_option
from harness.common.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.common.json_types import JsonObject


def refuse_for_scratch(given: "Iterable[str]") -> None:
    """Raise UsageError for the first given setting, by the name of its option."""
    if name := next(iter(given), None):
        raise UsageError(
            "--model scratch has settings of its own.",
            where=f"--{name.replace('_', '-')}",
            remedy="Leave it out, or name another --model.",
        )


class FewExamplesOptions(OptionGroup):
    """Methods that make more of few examples; each is off by default. Names are the trainer's settings."""

    patience: Annotated[
        int,
        amount_option(
            "--patience N", "Stop after N epochs without a better held-out score; 0: never.", min=0
        ),
    ] = 0
    train_share: Annotated[
        float, amount_option("--train-share SHARE", "Share of the examples to train on.", min=0.001, max=1.0)
    ] = 1.0
    layer_decay: Annotated[
        float,
        how_option(
            "--layer-decay FACTOR",
            "Learning rate of a layer over that of the layer above; 0.9 for instance.",
            min=0.01,
            max=1.0,
        ),
    ] = 1.0
    reinit_layers: Annotated[
        int, how_option("--reinit-layers N", "Top layers that begin with new random weights.", min=0)
    ] = 0
    r_drop: Annotated[
        float,
        how_option(
            "--r-drop WEIGHT",
            "Weight of the divergence of two passes with different dropout; 1 for instance.",
            min=0.0,
        ),
    ] = 0.0
    average: Annotated[
        float,
        how_option(
            "--average DECAY",
            "Keep the moving average of the weights; 0.99 is over some 100 steps.",
            min=0.0,
            max=0.99999,
        ),
    ] = 0.0
    split_seed: Annotated[
        int | None,
        how_option("--split-seed N", "Seed of the held-out tenth of train (default: --seed).", min=0),
    ] = None

    def settings(self) -> "JsonObject":
        """Return the settings that differ from the trainer's defaults, by the trainer's names."""
        values = {field.name: (getattr(self, field.name), field.default) for field in fields(self)}
        return {name: value for name, (value, default) in values.items() if value != default}

    def check_absent(self) -> None:
        """Raise UsageError if one is given: --model scratch has settings of its own."""
        refuse_for_scratch(self.settings())
