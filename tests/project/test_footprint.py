import os
import sys

from devtools.footprint import footprint, tree_pss

HOLD_50_MB = (
    "import time; held = bytearray(50_000_000); held[::4096] = b'x' * len(held[::4096]); time.sleep(1.5)"
)


def test_the_peak_covers_what_a_child_process_holds() -> None:
    """The command starts another that holds 50 MB for a second and a half."""
    command = f"import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', {HOLD_50_MB!r}]) + 3)"
    code, seconds, peak = footprint([sys.executable, "-c", command])
    assert code == 3
    assert seconds > 0
    assert peak > 50_000_000


def test_a_process_that_is_gone_holds_nothing() -> None:
    """And this one holds something."""
    assert tree_pss(os.getpid()) > 0
    assert tree_pss(2**22 + 1) == 0
