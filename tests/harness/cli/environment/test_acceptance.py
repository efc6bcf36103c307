"""`bench doctor --accept`: what is refused before anything is measured."""

from pathlib import Path

import pytest
from worlds import World

from harness.cli.app import call


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--accept", "taken.zip"], "the file exists already"),
        (["--accept", "dangling.zip"], "the file exists already"),
        (["--accept", "a" * 300 + ".zip"], "the path cannot be used: File name too long"),
        (["--accept", "a.zip", "--device", "gpu"], "unknown device 'gpu'"),
        (["--accept", "nowhere/a.zip"], "there is no such folder"),
        (["--accept", "a.zip", "--check"], "--accept tries every counter by itself"),
        (["--accept", "a.zip", "--meter", "rapl"], "Leave out --check, --meter and --store"),
    ],
)
def test_a_wrong_target_or_option_is_refused(
    options: list[str],
    reason: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With exit code 2, and no archive."""
    monkeypatch.chdir(tmp_path)
    Path("taken.zip").write_text("mine")
    Path("dangling.zip").symlink_to("nowhere")
    assert call(["doctor", *options], World(tmp_path).context()) == 2
    assert reason in capsys.readouterr().err
    assert Path("taken.zip").read_text() == "mine"
    assert not Path("a.zip").exists()


def test_without_a_counter_the_exit_code_is_4(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The fake machine has a meter, but no counter: each meter is named, and the archive holds why."""
    target, world = tmp_path / "a.zip", World(tmp_path, watts=None)
    assert call(["doctor", "--accept", str(target)], world.context()) == 4
    out, err = capsys.readouterr()
    assert out.startswith("No energy counter can be read here, so nothing was measured.")
    assert all(f"{name}: unavailable, because " in out for name in ("rapl", "perf", "hwmon", "nvml"))
    assert "Run on bare metal." in out
    assert err == ""
    assert call(["verify", str(target)], world.context()) == 0
    out = " ".join(capsys.readouterr().out.split())
    for option in ("--sign", "--signers"):
        assert call(["verify", str(target), option, str(target)], world.context()) == 2
        assert f"{option}: an archive of `bench doctor --accept` holds no sign" in capsys.readouterr().err
    assert "not checked, because no energy counter could be read on that machine" in out
    assert "the archive has no run: no energy counter can be read here" in out
