import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.layout.terminal_lines import StyledText, display_width, painted, shrunk, side_by_side, wrapped


def test_words_move_to_the_next_line_and_long_words_are_broken() -> None:
    """Eight columns: `abc de` fits, `fgh` moves to the next line, ten letters are broken in two."""
    assert wrapped("abc de fgh", 8) == ["abc de", "fgh"]
    assert wrapped("ab 0123456789 c", 8) == ["ab", "01234567", "89 c"]
    assert wrapped("", 8) == [""]


def test_wide_letters_take_two_columns() -> None:
    """Terminals show them so."""
    assert display_width("\u4e2d") == 2
    assert wrapped("\u4e2d\u6587\u4e2d", 4) == ["\u4e2d\u6587", "\u4e2d"]


@given(st.text(alphabet="ab \u4e2d", max_size=40), st.integers(2, 12))
def test_no_line_is_too_wide_and_no_letter_is_lost(text: str, width: int) -> None:
    """Only blanks at the ends of lines are removed."""
    lines = wrapped(text, width)
    assert max(map(display_width, lines)) <= width
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize(
    ("natural", "width", "widths"),
    [([5, 3], 10, [5, 3]), ([10, 4], 12, [8, 4]), ([10, 10], 15, [7, 8]), ([10, 4], 6, [3, 3])],
)
def test_the_widest_columns_shrink_first(natural: list[int], width: int, widths: list[int]) -> None:
    """Together they fit into the width."""
    assert shrunk(natural, width) == widths


def test_cells_are_side_by_side_and_aligned_left_or_right() -> None:
    """A cell of two lines makes a row of two."""
    cells = [[(StyledText("ab"),), (StyledText("c"),)], [(StyledText("1"),)]]
    lines = side_by_side(cells, [3, 2], 2, right=[False, True])
    assert [painted(line, color=False) for line in lines] == ["ab    1", "c"]


def test_colour_surrounds_a_piece_and_nothing_else() -> None:
    """Bold is 1."""
    assert painted((StyledText("a", "bold"), StyledText(" b")), color=True) == "\x1b[1ma\x1b[0m b"
