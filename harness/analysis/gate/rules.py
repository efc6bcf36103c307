"""Rules of the gate, in words people know: how much worse each quantity may become.

    gate:
      latency_p50: {max-degradation: 5%}
      accuracy: {max-degradation: 0.5}            # points
      energy: {max-degradation: 5%, requires: measured}
      throughput: {}                              # the tolerance is learnt from the machine's own noise

They stand in `bench.yaml`. A word that is not known is refused with the nearest one: a misspelt rule would
hold whatever happens.
"""

import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.analysis.comparison import QUANTITIES, Quantity
from harness.common.errors import UsageError, unknown_name

SECTION = "gate"
ACCURACY = "accuracy"
"""A rule on `quality` that holds for tasks scored by accuracy alone."""

MEASURED, MODELLED = "measured", "modelled"

_WORDS = ("max-degradation", "requires", "allow")
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")


@dataclass(frozen=True, slots=True)
class GateRule:
    """How much worse a quantity may become: `limit` in percent, or in points of a quality; None is learnt.

    `metric` is what the quality must be scored by, empty for whatever the task's first metric is. `modelled`
    says that joules may be modelled.
    """

    name: str
    quantity: Quantity
    limit: float | None = None
    metric: str = ""
    modelled: bool = False

    def __str__(self) -> str:
        """Say it as a report prints it."""
        if self.limit is None:
            return f"{self.name}: no worse than the noise"
        return f"{self.name}: at most {self.limit:g}{'%' if self._percent else ' points'} worse"

    @property
    def _percent(self) -> bool:
        return self.quantity.change_unit == "%"


DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "throughput": {},
    "latency_p50": {},
    "quality": {"max-degradation": 0.5},
    "memory": {"max-degradation": "10%"},
    "size": {"max-degradation": "5%"},
}
"""The rules where none are given. Energy is not among them: most machines cannot measure it."""


def read_rules(path: Path | None, default: Path = Path("bench.yaml")) -> tuple[GateRule, ...]:
    """Return the rules of a file, or of `default` where it is there, or else the default ones.

    UsageError for a file that cannot be read, holds no rules though it was named, or holds a wrong one.
    """
    if path is None and not default.exists():
        return parse_rules(DEFAULTS, "the default rules")
    words = _yaml(path or default)
    if SECTION not in words:
        if near := difflib.get_close_matches(SECTION, map(str, words), n=1, cutoff=0.8):
            raise unknown_name(f"section {near[0]!r}, close to", SECTION, [SECTION])
        if path is None:
            return parse_rules(DEFAULTS, "the default rules")
        raise UsageError("has no section `gate`.", where=str(path), remedy="docs/gate.md has an example.")
    return parse_rules(words[SECTION], (path or default).name)


def parse_rules(words: Any, where: str) -> tuple[GateRule, ...]:  # noqa: ANN401 -- a YAML value
    """Return the rules of a mapping from quantity to what is asked of it."""
    if not isinstance(words, Mapping) or not words:
        raise UsageError(
            f"`{SECTION}` must map quantities to what is asked of them.",
            where=where,
            remedy="For instance latency_p50: {max-degradation: 5%}.",
        )
    return tuple(_rule(str(name), asked or {}, where) for name, asked in words.items())


def _rule(name: str, asked: Any, where: str) -> GateRule:  # noqa: ANN401 -- a YAML value
    known = {**QUANTITIES, ACCURACY: QUANTITIES["quality"]}
    place = f"{where}: {SECTION}.{name}"
    if name not in known:
        raise unknown_name("quantity in a rule", name, known)
    if not isinstance(asked, Mapping):
        raise UsageError(
            "must be a mapping.", where=place, remedy=f"Write {name}: {{max-degradation: {asked}}}."
        )
    for word in asked:
        if word not in _WORDS:
            wrong = unknown_name("word", str(word), _WORDS)
            raise UsageError(wrong.message, where=place, remedy=wrong.remedy)
    quantity = known[name]
    limit = _limit(asked.get("max-degradation"), quantity, place)
    return GateRule(
        name, quantity, limit, name if name == ACCURACY else "", _modelled(asked, quantity, place)
    )


def _limit(asked: Any, quantity: Quantity, where: str) -> float | None:  # noqa: ANN401 -- a YAML value
    if asked is None:
        return None
    if quantity.change_unit == "points":
        is_number = isinstance(asked, int | float) and not isinstance(asked, bool)
        if is_number and math.isfinite(asked) and 0 <= asked <= 100:  # noqa: PLR2004 -- points are hundredths
            return float(asked)
        raise UsageError(
            f"max-degradation {asked!r} is no number of points.",
            where=where,
            remedy="Write 0.5, for instance.",
        )
    found = _PERCENT.fullmatch(asked.strip()) if isinstance(asked, str) else None
    if found is None:
        raise UsageError(
            f"max-degradation {asked!r} is no share.", where=where, remedy="Write 5%, for instance."
        )
    return float(found[1])


def _modelled(asked: Mapping[str, Any], quantity: Quantity, where: str) -> bool:
    """Say whether modelled joules may pass: only where that is said by name."""
    requires, allow = asked.get("requires"), asked.get("allow")
    allowed = [allow] if isinstance(allow, str) else list(allow or ())
    if (requires or allow) and quantity.name != "energy":
        raise UsageError(
            "only energy is of a grade.", where=where, remedy="Leave out `requires` and `allow`."
        )
    if requires not in (None, MEASURED):
        raise UsageError(f"requires {requires!r} is unknown.", where=where, remedy=f"Write {MEASURED}.")
    if any(each != MODELLED for each in allowed):
        raise UsageError(f"allow {allow!r} is unknown.", where=where, remedy=f"Write {MODELLED}.")
    if requires and allowed:
        raise UsageError(
            "requires measured and allows modelled joules.", where=where, remedy="Say one of the two."
        )
    return bool(allowed)


def _yaml(path: Path) -> Mapping[str, Any]:
    import yaml

    try:
        words = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise UsageError(f"cannot be read: {problem.strerror}.", where=str(path)) from None
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        raise UsageError(f"not YAML ({problem}).", where=str(path)) from None
    if not isinstance(words, Mapping):
        raise UsageError("must be a mapping.", where=str(path), remedy="docs/gate.md has an example.")
    return words
