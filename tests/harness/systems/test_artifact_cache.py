import json
from pathlib import Path

import pytest

from harness.common.errors import StoreError
from harness.systems.artifact_cache import ArtifactCache, folder_bytes


def test_what_was_written_is_found_with_its_manifest(tmp_path: Path) -> None:
    """And is absent before."""
    cache = ArtifactCache(tmp_path)
    assert cache.find("k") is None
    with cache.writing("k") as folder:
        (folder / "manifest.json").write_text('{"recipe": "r"}')
        (folder / "model.bin").write_bytes(b"12345")
    artifact = cache.find("k")
    assert artifact is not None
    assert artifact.manifest == {"recipe": "r"}
    seal = (artifact.folder / "files.json").stat().st_size
    assert folder_bytes(artifact.folder) == len('{"recipe": "r"}') + 5 + seal
    assert [artifact.key for artifact in cache.artifacts()] == ["k"]


def test_an_interrupted_preparation_leaves_nothing_that_looks_complete(tmp_path: Path) -> None:
    """Neither under the key nor as a scratch folder."""
    cache = ArtifactCache(tmp_path)

    def interrupted() -> None:
        with cache.writing("k") as folder:
            (folder / "manifest.json").write_text("{}")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert cache.find("k") is None
    assert list((tmp_path / "artifacts").iterdir()) == []


def test_what_a_killed_process_was_filling_is_removed_by_the_next_one(tmp_path: Path) -> None:
    """A folder that a living process fills is locked, and stays."""
    cache = ArtifactCache(tmp_path)
    abandoned = tmp_path / "artifacts" / ".writing-abandoned"
    abandoned.mkdir(parents=True)
    (abandoned / "weights").write_bytes(bytes(100))
    with cache.writing("a") as first, cache.writing("b") as second:
        assert not abandoned.exists()
        assert first.exists()
        assert second.exists()


def test_the_first_of_two_writers_wins_and_both_go_on(tmp_path: Path) -> None:
    """They made the same thing: that is what a key means."""
    cache = ArtifactCache(tmp_path)
    with cache.writing("k") as slow:
        (slow / "manifest.json").write_text('{"who": "slow"}')
        with cache.writing("k") as fast:
            (fast / "manifest.json").write_text('{"who": "fast"}')
    artifact = cache.find("k")
    assert artifact is not None
    assert artifact.manifest == {"who": "fast"}


def test_a_spoilt_artifact_counts_as_absent_and_is_made_again(tmp_path: Path) -> None:
    """A manifest that is no JSON is what an old crash may have left."""
    cache = ArtifactCache(tmp_path)
    (tmp_path / "artifacts" / "k").mkdir(parents=True)
    (tmp_path / "artifacts" / "k" / "manifest.json").write_text("{")
    assert cache.find("k") is None
    with cache.writing("k") as folder:
        (folder / "manifest.json").write_text(json.dumps({"recipe": "again"}))
    assert cache.find("k") is not None


def test_a_cache_that_cannot_be_written_says_where_and_what_to_set(tmp_path: Path) -> None:
    """A file in place of the folder stands for a full or read-only disk, for any user."""
    (tmp_path / "file").write_text("")
    cache = ArtifactCache(tmp_path / "file")
    with pytest.raises(StoreError, match="BENCH_CACHE"), cache.writing("k"):
        pass
