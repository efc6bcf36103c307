"""Exit with 1 unless a tag names the version of pyproject.toml, and the changelog has a section of it.

python .github/check_tag.py v0.1.0
"""

import sys
import tomllib
from pathlib import Path


def problem(tag: str, root: Path) -> str | None:
    """Return why a tag must not be released, or None."""
    version = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    if tag != f"v{version}":
        return f"expected the tag v{version}, the version of pyproject.toml, got {tag}"
    changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()
    if not any(line.split(" ")[:2] == ["##", version] for line in changelog):
        return f"CHANGELOG.md has no section `## {version}`: rename Unreleased"
    return None


if __name__ == "__main__":
    sys.exit(problem(sys.argv[1], Path(__file__).parents[1]))
