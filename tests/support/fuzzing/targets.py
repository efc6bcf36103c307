"""The readers of foreign bytes, each with files that it accepts. A new reader is one more line here."""

from fuzzing.checkpoint_targets import checkpoint_targets
from fuzzing.data_targets import data_targets
from fuzzing.record_targets import record_targets
from fuzzing.server_targets import server_targets
from fuzzing.settings_targets import settings_targets
from fuzzing.stream_targets import stream_targets
from fuzzing.target import Target


def targets() -> list[Target]:
    """Return every reader."""
    return [
        *data_targets(),
        *record_targets(),
        *settings_targets(),
        *checkpoint_targets(),
        *stream_targets(),
        *server_targets(),
    ]
