"""The table of how much of a request its text is."""

from devtools.text_path import Times, rows


def test_shares_are_of_the_whole_request() -> None:
    """100 of 1000 us by the library, and 20 of 920 with words that are known."""
    lines = list(rows({"BPE": Times(100, 60, 20)}, {"6L-384": 900.0}))
    assert lines[0] == "| tokenizer | library | new words | known words | 6L-384, 0.90 ms |"
    assert lines[2] == "| BPE | 100 | 60 | 20 | 10.0%, 2.2% |"
