"""A word ends where its last character stays one that is no blank."""

from collections.abc import Callable

import pytest
import regex

from baselines.encoding.word_ends import is_solid


def with_blanks(text: str) -> str:
    return text.replace("q", " ")


@pytest.mark.parametrize(
    ("characters", "normalise", "solid"),
    [
        ("az09!~\u00e9\u6e56\ud55c\u042f\u05d0\u201d", str, True),
        (" \n\t\u00a0\u3000\u0301\u200b\u0e33\u0d4e\uff9e\u2581\U0001f3fb\x00", str, False),
        ("q", with_blanks, False),
        ("az", with_blanks, True),
        ("q", lambda text: text.replace("q", ""), False),
        ("q", lambda text: text.replace("aq", "x"), False),
    ],
)
def test_a_word_ends_with_a_character_that_stays_no_blank(
    characters: str, normalise: Callable[[str], str], solid: bool
) -> None:
    """Not with one that becomes a blank, vanishes, or changes what is beside it."""
    assert [is_solid(character, normalise) for character in characters] == [solid] * len(characters)


def test_no_such_character_forms_a_cluster_with_a_space() -> None:
    """All of the basic plane, by the segmentation of another library."""
    solid = [character for character in map(chr, range(0x10000)) if is_solid(character, str)]
    text = "\n".join(f" {character} " for character in solid)
    assert len(solid) > 50_000
    assert len(regex.findall(r"\X", text)) == len(text)
