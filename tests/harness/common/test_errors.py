"""Messages that a reader can take in, whatever they quote."""

from harness.common.errors import BenchError, unknown_name


def test_a_message_never_quotes_a_whole_file() -> None:
    """The beginning and the end stay: what happened, and what to do."""
    error = BenchError("begin " + "x" * 10**6 + " end", where="y" * 10**6, remedy="z" * 10**6)
    assert len(str(error)) < 5000
    assert error.message.startswith("begin xx")
    assert error.message.endswith("xx end")
    assert str(BenchError("a.", where="b", remedy="c")) == "b: a.\nc"


def test_a_short_list_of_names_is_shown_whole_and_a_long_one_by_its_nearest() -> None:
    """A store may hold thousands of runs."""
    assert unknown_name("task", "xyz", ["a", "b"]).remedy == "Known: a, b."
    names = [f"2026{number:06}-boolq" for number in range(3000)]
    error = unknown_name("run", "nope", names)
    assert error.message == "unknown run 'nope'."
    assert error.remedy is not None
    assert error.remedy.startswith("The most similar of 3,000: 2026")
    assert error.remedy.count("boolq") == 3


def test_a_long_unknown_name_is_cut() -> None:
    """Somebody may paste a file in its place."""
    assert unknown_name("run", "n" * 10**6, ["a"]).message == f"unknown run {'n' * 80!r}...."
