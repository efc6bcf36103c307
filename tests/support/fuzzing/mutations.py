"""Bytes that are nearly valid: sound ones with tokens replaced, left out, repeated and cut off.

    sound bytes --tokens--> [word, "text", 12, {, ...] --one to four changes--> damaged bytes

A change of a whole token reaches further than one of a single byte: most of the file is still read.
"""

import re
from collections.abc import Sequence

from hypothesis import strategies as st

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"|[A-Za-z0-9_.+-]+|\s+|.', re.DOTALL)

HOSTILE = (
    # numbers
    *(
        b"0",
        b"-1",
        b"1.0",
        b"1,5",
        b"1e308",
        b"1e999",
        b"-1e999",
        b"5e-324",
        b"9223372036854775808",
        b"9" * 5000,
    ),
    *(b"NaN", b"Infinity", b".inf", b"inf", b"nan", b"0x10", b"1:30"),
    # other values
    *(b"null", b"true", b'""', b"[]", b"{}", b"[[]]", b'{"a": 1, "a": 2}', b'"\\ud800"', b"a", b"a" * 300),
    # depth and size
    *(b"[" * 200, b'{"a":' * 200, b"- " * 200, b"x" * 5000, b"a: &a [*a]"),
    # characters and encodings
    *(b"\xff", b"\0", b"\xef\xbb\xbf", b"\xff\xfe", b"\x1b[31m", "\u202e".encode(), "\u2028".encode()),
    *(b"\n", b"\r", b"\n\n", b"\t", b" ", b",", b";", b'"', b"'", b":", b"#", b"{", b"}"),
    # tags, paths and formulas
    *(
        b"*a",
        b"&a ",
        b"<<: *a",
        b"!!python/object:os.system ",
        b"!!int x",
        b"!!set {}",
        b"../../x",
        b"/dev/zero",
    ),
)


@st.composite
def damaged(draw: st.DrawFn, sound: Sequence[bytes]) -> bytes:
    """Draw one of the sound files with one to four changes."""
    tokens = _TOKEN.findall(draw(st.sampled_from(sound)))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(len(tokens) - 1, 0)))
        change = draw(st.sampled_from(("replace", "replace", "insert", "remove", "repeat", "cut", "flip")))
        tokens = _changed(draw, tokens, place, change)
    return b"".join(tokens)


def _changed(draw: st.DrawFn, tokens: list[bytes], place: int, change: str) -> list[bytes]:
    before, here, after = tokens[:place], tokens[place : place + 1], tokens[place + 1 :]
    if change == "cut":
        return before
    if change == "remove":
        return before + after
    if change == "repeat":
        return before + here * draw(st.sampled_from((2, 3, 100))) + after
    if change == "flip":
        return [*before, draw(st.binary(max_size=4)), *after]
    new = draw(st.sampled_from(HOSTILE))
    return [*before, *(here if change == "insert" else ()), new, *after]


def hostile_bytes(sound: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Return damaged sound files, and a few of bytes without any order."""
    return st.one_of(damaged(sound), damaged(sound), damaged(sound), st.binary(max_size=200))
