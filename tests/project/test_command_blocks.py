"""Each block of commands in README and docs/ is one that `tox -e docs` runs, or names the reason why not."""

from pathlib import Path

import pytest
from documents import COMMANDS, PAGES, ROOT, blocks_of


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_block_has_a_language_and_every_mark_is_understood(page: Path) -> None:
    """An indented block has no language; a mark that no block follows, or without a reason, marks nothing."""
    text = page.read_text(encoding="utf-8")
    blocks = list(blocks_of(text))
    assert [block.line for block in blocks if block.language in ("", "indented")] == []
    assert text.count("<!-- not run") + text.count("<!-- file") == sum(bool(block.mark) for block in blocks)


def test_most_blocks_of_commands_are_run() -> None:
    """At least three of ten in all: marks are exceptions that pages about GPUs and long runs need."""
    blocks = [block for page in PAGES for block in blocks_of(page.read_text(encoding="utf-8"))]
    commands = [block for block in blocks if block.language in COMMANDS]
    assert sum(block.runs for block in commands) >= 0.3 * len(commands)


def test_a_mark_belongs_to_the_block_right_after_it() -> None:
    """Its reason or its name is kept; text in between, or another comment, is no mark."""
    page = (
        "<!-- not run: it needs a GPU -->\n```sh\nbench run --device cuda\n```\n\n"
        "<!-- file: a.yaml -->\n\n```yaml\na: 1\n```\n\n"
        "<!-- not run: late -->\n\ntext\n\n```sh\nbench list\n```\n\n"
        "<!-- not run -->\n```sh\nbench doctor\n```\n"
    )
    gpu, file, late, without_reason = blocks_of(page)
    assert (gpu.mark, gpu.argument, gpu.runs, gpu.line) == ("not run", "it needs a GPU", False, 2)
    assert (file.mark, file.argument, file.text) == ("file", "a.yaml", "a: 1\n")
    assert late.runs
    assert without_reason.runs
