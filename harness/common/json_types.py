"""Names for values that came from JSON and have not been given a type yet, and the bounds of its numbers.

The bounds hold where pydantic reads a value. This module does not import it: workers read meters without.
"""

from typing import Annotated, Any, TypeAlias

from annotated_types import Ge, Le  # pydantic brings it, and reads these

JsonValue: TypeAlias = Any
"""A value as `json.loads` returns it: a string, number, boolean, None, list or dict."""

JsonObject: TypeAlias = dict[str, Any]
"""A JSON object whose fields the reader checks."""

MAX_INTEGER = 2**63 - 1
"""The largest whole number, of either sign: what other programs read too."""

MAX_REAL = 1e30
"""The largest number with decimals, of either sign: its square is still finite."""

Count = Annotated[int, Ge(0), Le(MAX_INTEGER)]
"""A count, a size or a duration: not negative, and at most 64 bits."""

Signed = Annotated[int, Ge(-MAX_INTEGER), Le(MAX_INTEGER)]
"""A whole number of at most 64 bits, such as a temperature or a difference of two counters."""

Real = Annotated[float, Ge(-MAX_REAL), Le(MAX_REAL)]
"""A finite number."""
