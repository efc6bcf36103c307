"""The filters of warnings for `tox -e newest`, where a deprecation in a dependency is an error."""

from collections.abc import Sequence


def strict(filters: Sequence[str]) -> list[str]:
    """Return pytest's filters without those that show deprecations as warnings."""
    return [line for line in filters if not line.startswith("default::")]
