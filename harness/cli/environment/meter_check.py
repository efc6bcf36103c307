"""The lines about a meter's check, for `bench doctor --check` and `--accept`."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.common.json_types import JsonObject


def check_lines(check: "JsonObject") -> list[str]:
    """Return the lines about a meter's self-check."""
    if check["moved"] is None:
        return [f"Self-check of {check['meter']}: not done, because {check['reason']}"]
    if not check["moved"]:
        return [f"Self-check of {check['meter']}: cannot be used, because {check['reason']}"]
    lines = [f"Self-check of {check['meter']}: {check['reads']} reads in {check['span_ns'] / 1e9:.2f} s"]
    lines += [f"  {zone['zone']}: {_format_zone(zone)}" for zone in check["zones"]]
    lines += [f"  {zone} is left out: {reason}" for zone, reason in check["left_out"]]
    agreement = f"unavailable, because {check['agreement_reason']}"
    if check["agreement"] is not None:
        agreement = f"its power is {check['agreement']:.2f} times that of the power sensor"
    least_s, error = check["least_window_ms"] / 1e3, 100 * check["error"]
    window = f"{least_s:g} s or more are sure to {error:g} %; a run makes its visits as long, up to 30 s"
    return [*lines, f"  agreement: {agreement}", f"  windows: {window}"]


def _format_zone(zone: "JsonObject") -> str:
    wraps = zone["wraps_after_s"]
    return (
        f"steps every {zone['update_ns'] / 1e6:.3g} ms, quantum at most {zone['quantum_uj']} uJ, "
        f"{zone['watts']:.1f} W now, differences sure to {zone['uncertainty_uj'] / 1e6:.3g} J, "
        + (f"wraps after {wraps / 3600:.3g} h" if wraps else "range unknown")
    )
