"""Names for values that came from JSON and have not been given a type yet."""

from typing import Any, TypeAlias

JsonValue: TypeAlias = Any
"""A value as `json.loads` returns it: a string, number, boolean, None, list or dict."""

JsonObject: TypeAlias = dict[str, Any]
"""A JSON object whose fields the reader checks."""
