"""The data of tasks: folders in the official layout, the embedded sample, and files of the user's own."""

from harness.workload.data.source import Data, Split, embedded_data, load_split, local_data

__all__ = ["Data", "Split", "embedded_data", "load_split", "local_data"]
