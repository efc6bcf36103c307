"""How a worker introduces itself, so that one program can drive workers of two versions of the code.

parent  {"do": "hello", "protocol": 2}
worker  {"done": {"protocol": 2, "messages": {"visit": ["indexes", ...]}, "source": "/...", "code": "sha256",
                  "software": {...}}}

Version 2 is the first with this message. The version changes when a message comes to mean something else. A
word that a message gains keeps the version: the parent sees in `messages` who knows it.
"""

import dataclasses
import hashlib
import inspect
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from harness.runs.worker.messages import PROTOCOL_VERSION

PACKAGES = ("harness", "baselines", "optimized")
"""Whose code decides what is measured."""


def introduction(actions: Mapping[str, Callable[..., Any]], orders: Mapping[str, type]) -> dict[str, Any]:
    """Return what a worker says of itself; the words of `orders` are the fields of a dataclass."""
    messages = {name: _words(name, action, orders) for name, action in actions.items()}
    return {"protocol": PROTOCOL_VERSION, "messages": messages, **_code()}


@cache
def _code() -> dict[str, Any]:
    """Return whose code this process runs: it was loaded once."""
    from harness.measurement.machine.host import software

    root = Path(__file__).resolve().parents[3]
    return {"source": str(root), "code": code_sha256(root), "software": software()}


def code_sha256(root: Path) -> str:
    """Return the sha256 over names and contents of the modules that decide what is measured."""
    seen = hashlib.sha256()
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            seen.update(f"{path.relative_to(root)}\0".encode())
            seen.update(hashlib.sha256(path.read_bytes()).digest())
    return seen.hexdigest()


def _words(name: str, action: Callable[..., Any], orders: Mapping[str, type]) -> list[str]:
    if name in orders:
        return [each.name for each in dataclasses.fields(orders[name])]
    return list(inspect.signature(action).parameters)
