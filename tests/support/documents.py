"""Blocks of code in the documents, with the mark that stands before them.

page.md --markdown-it--> Block(language, text, line, mark, argument) --runs--> a shell, a script, a file

<!-- not run: REASON -->   what the block needs that is not there: a GPU, the network, an hour
<!-- file: NAME -->        the block is a file that later blocks of the page read
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
COMMANDS = ("sh", "bash", "console", "python")
"""Languages of blocks that a reader runs."""

_MARK = re.compile(r"<!-- (not run|file): (.+?) -->\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """A block of code: its language, its text, the line it begins on, and the mark before it."""

    language: str
    text: str
    line: int
    mark: str = ""
    argument: str = ""

    @property
    def runs(self) -> bool:
        """Whether a reader types this block and nothing speaks against it."""
        return self.language in COMMANDS and not self.mark


def blocks_of(text: str) -> Iterator[Block]:
    """Yield the blocks of a page; an indented block has the language ``indented``."""
    comment = ""
    for token in MarkdownIt().parse(text):
        if token.type in ("fence", "code_block"):
            mark = _MARK.fullmatch(comment)
            language = token.info.split(" ")[0] if token.type == "fence" else "indented"
            line = token.map[0] + 1 if token.map else 0
            yield Block(language, token.content, line, *(mark.groups() if mark else ()))
        comment = token.content if token.type == "html_block" else ""
