"""The options of `bench gate` alone: what is compared, and by which rules."""

from pathlib import Path
from typing import Annotated, Literal

from harness.cli.options.groups import OptionGroup
from harness.cli.options.panels import gate_option
from harness.common.errors import UsageError


class GateOptions(OptionGroup):
    """A run against its pinned reference, a run to pin, or base against head."""

    run: Annotated[str | None, gate_option("--run RUN", "Compare this run with its pinned reference.")] = None
    pin: Annotated[str | None, gate_option("--pin RUN", "Make this run a pinned reference.")] = None
    base: Annotated[
        str | None, gate_option("--base REF", "Measure this version beside --head (docs/howto/gate.md).")
    ] = None
    head: Annotated[str, gate_option("--head REF", "The version that is compared with --base.")] = "here"
    rules: Annotated[Path | None, gate_option("--rules FILE", "Rules (default: bench.yaml).")] = None
    allow_changed: Annotated[
        list[str] | None,
        gate_option("--allow-changed NAME", "What may differ: a fact, `host` or `software`; repeatable."),
    ] = None
    allow_noise: Annotated[bool, gate_option("--allow-noise", "Exit 0 where noise is the only problem.")] = (
        False
    )
    repeat_base: Annotated[
        bool, gate_option("--repeat-base/--no-repeat-base", "Measure base twice, which shows the noise.")
    ] = True
    setup: Annotated[
        str, gate_option("--setup COMMAND", "Run this in a checkout of each REF first: it makes --model.")
    ] = ""
    environment: Annotated[
        Literal["auto", "same", "own"],
        gate_option("--environment auto|same|own", "Interpreter of a revision: the running one or its own."),
    ] = "auto"

    def check(self, resume: str | None = None) -> None:
        """Raise UsageError unless exactly one of `--run`, `--base`, `--pin` and `--resume` is given.

        Also for a `--head` without `--base`, which would have no effect.
        """
        if sum(value is not None for value in (self.run, self.pin, self.base, resume)) != 1:
            raise UsageError(
                "expected exactly one of --run RUN, --base REF, --pin RUN and --resume RUN.",
                remedy="--run latest compares the latest run with its pinned reference (docs/howto/gate.md).",
            )
        from harness.studies.versions.refs import HERE

        if self.head != HERE and self.base is None:
            raise UsageError("--head needs --base.", remedy="Name the version to compare with: --base REF.")
