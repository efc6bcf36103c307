"""The store: runs and records on disk, merged from other stores, and an index that answers questions.

ROOT/runs/RUN/...     sealed records and their samples: the truth     `folders.py`
other stores --hashes checked, copied--> ROOT/runs                    `merge.py`
ROOT/runs --read--> ROOT/index.sqlite --read only--> rows             `index/`
"""

from harness.records.store.folders import (
    UNREADABLE,
    Arrays,
    RunFolder,
    Store,
    UnreadableFile,
    read_record,
    read_samples,
    sealed_payload,
    unpack_samples,
)

__all__ = [
    "UNREADABLE",
    "Arrays",
    "RunFolder",
    "Store",
    "UnreadableFile",
    "read_record",
    "read_samples",
    "sealed_payload",
    "unpack_samples",
]
