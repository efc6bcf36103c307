"""How a worker introduces itself, so that one program can drive workers of two versions of the code.

parent  {"do": "hello", "protocol": 2}
worker  {"done": {"protocol": 2, "messages": {"visit": ["indexes", ...]}, "source": "/...", "code": "sha256",
                  "software": {...}}}

Version 2 is the first with this message. The version changes when the meaning of a message changes. A field
that a message gains keeps the version: the parent reads in `messages` whether the worker has it.
"""

import dataclasses
import hashlib
from functools import cache
from pathlib import Path

from harness.runs.worker.messages import PROTOCOL_VERSION, REQUESTS, HelloRequest, Introduction

PACKAGES = ("harness", "baselines", "optimized")
"""The packages whose code decides what is measured."""


@cache
def introduction() -> Introduction:
    """Return what this process is; its code was loaded once."""
    from harness.measurement.machine.host import software

    root = Path(__file__).resolve().parents[3]
    messages = {
        action: [field.name for field in dataclasses.fields(kind)]
        for action, kind in REQUESTS.items()
        if action != HelloRequest.action
    }
    return Introduction(PROTOCOL_VERSION, messages, str(root), code_sha256(root), software())


def code_sha256(root: Path) -> str:
    """Return the sha256 over names and contents of the modules that decide what is measured."""
    digest = hashlib.sha256()
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            digest.update(f"{path.relative_to(root)}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
