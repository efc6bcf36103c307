"""Links and paths in the documents lead to files that exist."""

import itertools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results"
DOCUMENTS = sorted(
    [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
        *(RESULTS / name for name in ("README.md", "index.md")),
        *(ROOT / "docs").rglob("*.md"),
    ]
)
PLACEHOLDERS = ("RUN", "CELL", "HASH")
"""Words that stand for a name: `results/runs/RUN` means any run."""

WRITTEN_BY_A_COMMAND = {"results/pinned/RUN.json"}
"""Paths that a reader's own command makes."""

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_PATH_IN_RESULTS = re.compile(r"(?<![\w/.-])results/[\w./{},*-]*[\w/}*]")
_BRACES = re.compile(r"\{([^}]*)\}")


def links_in(text: str) -> list[str]:
    """Return the targets of the relative links, code excluded."""
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)
    return [link for link in _LINK.findall(prose) if "://" not in link]


def anchors_of(path: Path) -> set[str]:
    """Return the anchors that a Markdown renderer makes of the headings."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def leads_nowhere(link: str, document: Path) -> bool:
    """Return whether a link's file or heading is missing."""
    target, _, anchor = link.partition("#")
    path = (document.parent / target).resolve() if target else document
    return not path.exists() or bool(anchor and anchor not in anchors_of(path))


def matches_of(pattern: str) -> list[Path]:
    """Return the files that a path with braces, stars and placeholders stands for.

    Raises ValueError for an alternative that no file matches.
    """
    alternatives = [
        part.split(",") if index % 2 else [part] for index, part in enumerate(_BRACES.split(pattern))
    ]
    found: list[Path] = []
    for parts in itertools.product(*alternatives):
        path = re.sub("|".join(PLACEHOLDERS), "*", "".join(parts))
        matches = list(ROOT.glob(path))
        if not matches:
            raise ValueError(f"no file matches {path}")
        found += matches
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_relative_link_leads_to_a_file_and_a_heading(document: Path) -> None:
    """Of README, docs/ and results/."""
    links = links_in(document.read_text(encoding="utf-8"))
    assert [link for link in links if leads_nowhere(link, document)] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_path_in_results_that_a_document_names_exists(document: Path) -> None:
    """Braces and stars are expanded, and each alternative has to match."""
    for path in set(_PATH_IN_RESULTS.findall(document.read_text(encoding="utf-8"))) - WRITTEN_BY_A_COMMAND:
        assert matches_of(path)


def test_every_path_in_results_that_code_and_tests_name_exists() -> None:
    """In docstrings, comments and messages of the product, and in the tests."""
    sources = [
        path
        for top in ("harness", "baselines", "optimized", "reports", "tests")
        for path in (ROOT / top).rglob("*.py")
    ]
    paths = {
        path
        for source in sources
        if source != Path(__file__)
        for path in re.findall(
            r"(?<![\w/.\-\"])results/[\w./-]+\.(?:md|json)\b", source.read_text(encoding="utf-8")
        )
    }
    assert "results/README.md" in paths
    for path in paths - WRITTEN_BY_A_COMMAND:
        assert matches_of(path)


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    """A missing file, a missing heading, and a pattern one alternative of which is missing."""
    document = tmp_path / "page.md"
    document.write_text("# Two words\n\n[a](page.md#two-words) [b](gone.md) [c](#three) `[d](code.md)`\n")
    links = links_in(document.read_text())
    assert [link for link in links if leads_nowhere(link, document)] == ["gone.md", "#three"]
    assert len(matches_of("results/rivals/{6L-384,12L-768}-wic.md")) == 2
    with pytest.raises(ValueError, match=r"no file matches results/rivals/gone-wic\.md"):
        matches_of("results/rivals/{6L-384,gone}-wic.md")
