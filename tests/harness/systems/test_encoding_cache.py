"""Encoded splits in the cache: what comes back is what was put in."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from harness.systems import encoding_cache
from harness.systems.artifact_cache import ArtifactCache
from harness.systems.interface import EncodedSequence, Request
from harness.workload.data import Split
from harness.workload.tasks import get_task
from harness.workload.tasks.example import Example, TextInput

TOKENS = arrays(np.int32, st.integers(0, 9), elements=st.integers(0, 50_000))
SPANS = st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99)), max_size=2).map(tuple)
LOSSES = st.one_of(st.just(()), st.tuples(*[st.integers(1, 9)] * 4))
SEQUENCES = st.builds(
    lambda ids, spans, cut, losses: EncodedSequence(ids, np.minimum(ids, 1), spans, cut, losses),
    TOKENS,
    SPANS,
    st.integers(0, 9),
    LOSSES,
)
REQUESTS = st.lists(st.lists(SEQUENCES, max_size=4).map(tuple), max_size=6).map(
    lambda parts: [Request(str(number), part) for number, part in enumerate(parts)]
)


def same(first: Request, second: Request) -> bool:
    pairs = zip(first.sequences, second.sequences, strict=True)
    return first.id == second.id and all(
        np.array_equal(mine.ids, theirs.ids)
        and np.array_equal(mine.segments, theirs.segments)
        and (mine.spans, mine.cut, mine.losses) == (theirs.spans, theirs.cut, theirs.losses)
        for mine, theirs in pairs
    )


@given(REQUESTS)
def test_requests_come_back_as_they_were(requests: list[Request]) -> None:
    """Whatever the numbers of sequences, tokens and spans, empty ones included."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        for name, array in encoding_cache.pack(requests).items():
            np.save(Path(folder) / f"{name}.npy", array)
        unpacked = encoding_cache.unpack(Path(folder), [request.id for request in requests])
    assert len(unpacked) == len(requests)
    assert all(map(same, requests, unpacked))


def test_a_split_is_found_only_when_all_of_it_is_there(tmp_path: Path) -> None:
    """The cache gives the whole split or nothing, under a key of tokenizer, data and task."""
    examples = tuple(Example(name, (TextInput("a"),)) for name in "pq")
    split = Split("val", get_task("rte"), "local", examples, "sha", None, None)
    ids = np.arange(3, dtype=np.int32)
    requests = {at: Request(name, (EncodedSequence(ids, ids),)) for at, name in enumerate("pq")}
    short, long = (
        encoding_cache.EncodingCache.of(SimpleNamespace(encoding=way), ArtifactCache(tmp_path), split)
        for way in ("128", "256")
    )
    assert short is not None
    assert long is not None
    short.keep({0: requests[0]})
    assert short.find() == []
    short.keep(requests)
    assert all(map(same, requests.values(), short.find()))
    assert long.find() == []


def test_a_system_that_does_not_say_how_it_encodes_has_no_place(tmp_path: Path) -> None:
    """A program from outside, the null system."""
    split = Split("val", get_task("rte"), "local", (Example("p", (TextInput("a"),)),), "sha", None, None)
    assert encoding_cache.EncodingCache.of(SimpleNamespace(), ArtifactCache(tmp_path), split) is None
