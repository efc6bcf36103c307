"""A few kills of `python -m devtools.kills`, which makes as many as it is told."""

import random
import signal
from pathlib import Path

import pytest
from devtools.kills import COMMANDS, ENDS, TARGETS, Kill, draw, run_kill


@pytest.mark.parametrize(
    "kill",
    [
        Kill("program", "parent", signal.SIGKILL, 2.0),
        Kill("pool", "parent", signal.SIGTERM, 3.0),
    ],
    ids=str,
)
def test_a_kill_leaves_no_process_no_scratch_and_every_round(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, kill: Kill
) -> None:
    """And the run is resumed, complete and verified, whenever the signal arrives."""
    cache = tmp_path_factory.getbasetemp() / "cache-of-kills"
    assert run_kill(kill, tmp_path, cache) == []


def test_every_command_target_and_signal_is_drawn() -> None:
    """Of a thousand kills."""
    kills = [draw(random.Random(seed), list(COMMANDS)) for seed in range(1000)]
    drawn = {(kill.command, kill.target, kill.signal) for kill in kills}
    wanted = {(name, target, number) for name in COMMANDS for target in TARGETS[name] for number in ENDS}
    assert drawn == wanted
