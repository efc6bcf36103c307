"""Rules of the gate in `bench.yaml`: by how much each quantity may degrade.

    gate:
      latency_p50: {max-degradation: 5%}
      accuracy: {max-degradation: 0.5}            # points
      energy: {max-degradation: 5%, requires: measured}
      throughput: {}                              # the tolerance is derived from the noise of the machine

An unknown key is an error that suggests the nearest one: a misspelt rule would always pass.
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
from harness.common.inputs.yaml_text import read_yaml
from harness.common.json_types import JsonValue

SECTION = "gate"
ACCURACY = "accuracy"
"""A rule on `quality` that applies only to tasks scored by accuracy."""

MEASURED, MODELLED = "measured", "modelled"

_KEYS = ("max-degradation", "requires", "allow")
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")


@dataclass(frozen=True, slots=True)
class GateRule:
    """By how much a quantity may degrade: `limit` in percent, or in points of a quality.

    A limit of None is derived from noise. `metric` is the required metric of a quality, empty for the primary
    metric of any task. `modelled` is True if joules may be modelled.
    """

    name: str
    quantity: Quantity
    limit: float | None = None
    metric: str = ""
    modelled: bool = False

    def __str__(self) -> str:
        """Format it for a report."""
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
"""The default rules. Energy is not among them: most machines cannot measure it."""


def read_rules(path: Path | None, default: Path = Path("bench.yaml")) -> tuple[GateRule, ...]:
    """Return the rules of the file at `path`, or of `default` if it exists, or else the default rules.

    UsageError for a file that cannot be read, for one named by `path` without rules, and for an invalid rule.
    """
    if path is not None and not path.exists():
        raise UsageError(
            "there is no such file.",
            where=str(path),
            remedy="Write one (see docs/howto/gate.md), or leave out --rules for the default ones.",
        )
    if path is None and not default.exists():
        return parse_rules(DEFAULTS, "the default rules")
    config = _yaml(path or default)
    if SECTION not in config:
        if near := difflib.get_close_matches(SECTION, map(str, config), n=1, cutoff=0.8):
            raise UsageError(
                f"unknown section {near[0]!r}.", where=str(path or default), remedy=f"Did you mean {SECTION}?"
            )
        if path is None:
            return parse_rules(DEFAULTS, "the default rules")
        raise UsageError(
            "has no section `gate`.", where=str(path), remedy="docs/howto/gate.md has an example."
        )
    return parse_rules(config[SECTION], (path or default).name)


def parse_rules(config: JsonValue, where: str) -> tuple[GateRule, ...]:
    """Return the rules of a parsed YAML mapping from quantity to options; `where` names it in errors."""
    if not isinstance(config, Mapping) or not config:
        raise UsageError(
            f"`{SECTION}` must be a mapping from quantities to options.",
            where=where,
            remedy="For instance latency_p50: {max-degradation: 5%}.",
        )
    return tuple(_rule(str(name), options or {}, where) for name, options in config.items())


def _rule(name: str, options: JsonValue, where: str) -> GateRule:
    quantities = {**QUANTITIES, ACCURACY: QUANTITIES["quality"]}
    place = f"{where}: {SECTION}.{name}"
    if name not in quantities:
        unknown = unknown_name("quantity in a rule", name, quantities)
        raise UsageError(unknown.message, where=place, remedy=unknown.remedy)
    if not isinstance(options, Mapping):
        raise UsageError(
            "must be a mapping.", where=place, remedy=f"Write {name}: {{max-degradation: {options}}}."
        )
    for key in options:
        if key not in _KEYS:
            unknown = unknown_name("key", str(key), _KEYS)
            raise UsageError(unknown.message, where=place, remedy=unknown.remedy)
    quantity = quantities[name]
    limit = _limit(options.get("max-degradation"), quantity, place)
    metric = name if name == ACCURACY else ""
    return GateRule(name, quantity, limit, metric, _modelled(options, quantity, place))


def _limit(value: JsonValue, quantity: Quantity, where: str) -> float | None:
    if value is None:
        return None
    if quantity.change_unit == "points":
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if is_number and math.isfinite(value) and 0 <= value <= 100:  # noqa: PLR2004 -- points are hundredths
            return float(value)
        raise UsageError(
            f"max-degradation must be a number of points between 0 and 100, got {value!r}.",
            where=where,
            remedy="Write 0.5, for instance.",
        )
    percent = _PERCENT.fullmatch(value.strip()) if isinstance(value, str) else None
    if percent is None:
        raise UsageError(
            f"max-degradation must be a percentage, got {value!r}.",
            where=where,
            remedy="Write 5%, for instance.",
        )
    return float(percent[1])


def _modelled(options: Mapping[str, Any], quantity: Quantity, where: str) -> bool:
    """Return whether modelled joules may pass, which `allow: modelled` must state."""
    requires, allow = options.get("requires"), options.get("allow")
    allowed = [allow] if isinstance(allow, str) else list(allow or ())
    if (requires or allow) and quantity.name != "energy":
        raise UsageError(
            "`requires` and `allow` apply to energy only.",
            where=where,
            remedy="Remove `requires` and `allow`.",
        )
    if requires not in (None, MEASURED):
        raise UsageError(
            f"requires must be {MEASURED!r}, got {requires!r}.", where=where, remedy=f"Write {MEASURED}."
        )
    if any(grade != MODELLED for grade in allowed):
        raise UsageError(
            f"allow must be {MODELLED!r}, got {allow!r}.", where=where, remedy=f"Write {MODELLED}."
        )
    if requires and allowed:
        raise UsageError(
            "the rule requires measured joules and allows modelled ones.",
            where=where,
            remedy="Remove `requires` or `allow`.",
        )
    return bool(allowed)


def _yaml(path: Path) -> Mapping[str, Any]:
    config = read_yaml(path).value
    if config is None:  # an empty file, or only comments
        return {}
    if not isinstance(config, Mapping):
        raise UsageError("must be a mapping.", where=str(path), remedy="docs/howto/gate.md has an example.")
    return config
