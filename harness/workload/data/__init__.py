"""Where examples come from: a folder in the official layout, or the embedded sample."""

from harness.workload.data.source import Data, Split, embedded_data, load_split, local_data

__all__ = ["Data", "Split", "embedded_data", "load_split", "local_data"]
