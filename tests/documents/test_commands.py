"""Every command of README and docs/, executed: `tox -e docs`, or TEST_DOCUMENTS=1 pytest tests/documents.

A page is a session in a folder of its own. `DIR` is there, a folder in the official layout; so are the files
and checkpoints that the pages name (tests/support/document_folder.py). `bench` measures with the quick
profile wherever a command names none.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from document_folder import copy_folder, fill_folder, substituted
from documents import PAGES, ROOT, Block, blocks_of

if not os.environ.get("TEST_DOCUMENTS"):
    pytest.skip("TEST_DOCUMENTS is not set; `tox -e docs` sets it", allow_module_level=True)

BLOCKS = {page: list(blocks_of(page.read_text(encoding="utf-8"))) for page in PAGES}
SECONDS = 1200
"""More than any block takes: it ends one that hangs."""


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make what all pages use once: data, checkpoints, and the program `bench` with the quick profile."""
    folder = tmp_path_factory.mktemp("shared")
    fill_folder(folder)
    return folder


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if any(block.runs for block in BLOCKS[page])],
    ids=lambda page: page.relative_to(ROOT).as_posix(),
)
def test_the_commands_of_a_page_run_in_order(page: Path, shared: Path, tmp_path: Path) -> None:
    """The files that the page shows are there; then every block of commands ends with exit code 0."""
    copy_folder(shared, tmp_path, page.read_text(encoding="utf-8"))
    for block in BLOCKS[page]:
        if block.mark == "file":
            (tmp_path / block.argument).write_text(block.text, encoding="utf-8")
    path = os.pathsep.join((str(shared / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]))
    environment = os.environ | {"PATH": path, "BENCH_CACHE": str(shared / "cache")}
    for block in BLOCKS[page]:
        if block.runs:
            execute(block, tmp_path, environment)


def execute(block: Block, folder: Path, environment: dict[str, str]) -> None:
    """Run a block; the test fails with its text and its output if it does not end with 0."""
    if block.language == "python":
        (folder / "block.py").write_text(block.text, encoding="utf-8")
        command = [sys.executable, "block.py"]
    else:
        command = ["bash", "-euo", "pipefail", "-c", substituted(block.text, folder)]
    result = subprocess.run(
        command, cwd=folder, env=environment, text=True, timeout=SECONDS, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert result.returncode == 0, f"line {block.line}\n{block.text}\n{result.stdout[-4000:]}"
