"""Makes text from records safe to show: names and messages may hold any characters."""

import re
from functools import lru_cache

_MARKDOWN = re.compile(r"([\\`*_\[\]|~#])")
_FORMULA = ("=", "+", "-", "@")


def printable(text: str) -> str:
    """Return the text on one line, with control and direction characters as visible escapes."""
    if text.isprintable():
        return text
    line = " ".join(text.splitlines())
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in line)


def escape_markdown(text: str) -> str:
    """Return text that GitHub's Markdown shows literally, in table cells too."""
    tagless = printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN.sub(r"\\\1", tagless)


@lru_cache(maxsize=1024)
def safe(text: str) -> str:
    """Return a text on one line that a spreadsheet does not read as a formula."""
    line = printable(text)
    return f"'{line}" if line.lstrip().startswith(_FORMULA) else line
