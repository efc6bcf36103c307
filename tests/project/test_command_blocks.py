"""Each block of commands in README and docs/ is one that `tox -e docs` runs, or names the reason why not."""

from pathlib import Path

import pytest
from document_folder import copy_folder, substituted
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


def test_a_page_gets_a_copy_without_the_checkpoints_that_it_trains_itself(tmp_path: Path) -> None:
    """Nor the cache and the program, which all pages share."""
    for name in ("m/boolq", "m/rte", "DIR", "cache", "bin"):
        (tmp_path / "shared" / name).mkdir(parents=True)
    copy_folder(tmp_path / "shared", tmp_path / "page", "bench train --task boolq --output m/boolq")
    copied = {path.relative_to(tmp_path / "page").as_posix() for path in (tmp_path / "page").rglob("*")}
    assert copied == {"m", "m/rte", "DIR"}


def test_names_of_a_reader_become_names_of_the_folder(tmp_path: Path) -> None:
    """RUN is the first run of the store, `latest` while there is none; other words stay."""
    command = "bench report RUN --set student=minilm # RUNS"
    assert substituted(command, tmp_path) == "bench report latest --set student=tiny # RUNS"
    for name in ("20260102-boolq", "20260101-boolq"):
        (tmp_path / "results" / "runs" / name).mkdir(parents=True)
    assert substituted(command, tmp_path) == "bench report 20260101-boolq --set student=tiny # RUNS"


def test_every_page_is_in_the_navigation() -> None:
    """`tox -e docs` refuses a page outside it, too; this test finds it sooner."""
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8").splitlines()
    pages = {page.relative_to(ROOT / "docs").with_suffix("").as_posix() for page in PAGES[1:]}
    assert pages - {"index"} == {line for line in index if line in pages}
