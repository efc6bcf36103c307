"""The official SuperGLUE v2 files: rows and sha256, to say whether a split is the official one.

Sums: the SuperGLUE v2 archives; each agrees with an independent record (GluonNLP v0.9's checksums or a
Git LFS id). BoolQ's training file is known by SHA-1 only, so its rows are all that can be checked.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OfficialFile:
    """Rows and sha256 of one official file; the sum is None where it is not known."""

    rows: int
    sha256: str | None


_FILES = {
    "BoolQ/train": OfficialFile(9427, None),
    "BoolQ/val": OfficialFile(3270, "0c86a5045886e5795fe9052003873f7d94b88ed3028a33007c51d99e44fd66d9"),
    "BoolQ/test": OfficialFile(3245, "7e898b2585500df403d3551542b26134d71a1630944d97660fa7ca872527dcfe"),
    "CB/train": OfficialFile(250, "32017480d3a10508646e3efd64502c639f13d4d15077f278d2fd0992c33a3126"),
    "CB/val": OfficialFile(56, "c6125587e9601560cb16ea223c33964c5a915568d2af68a81f651b6ef25395ec"),
    "CB/test": OfficialFile(250, "860679c4ef6f56758f5530bfbcbf2fd7905667184144f3594ace9bb4c435618d"),
    "RTE/train": OfficialFile(2490, "fdfb03443abe3ec0424b7fc5d1a8863361719bc061338b7a63e56b94d615f201"),
    "RTE/val": OfficialFile(277, "ab990507bf5f35dc176cba7770a72bfa2c50a88ed72b8cc95cfbf9db95ab1af1"),
    "RTE/test": OfficialFile(3000, "fb4025a8b072862f0323423dff1de8980a024bfb8775e09c80ff3cf1c77677b1"),
}


def official_file(folder: str, split: str) -> OfficialFile | None:
    """Return what is known of an official file, or None."""
    return _FILES.get(f"{folder}/{split}")


def note_on(folder: str, split: str, rows: int, sha256: str) -> tuple[bool | None, str | None]:
    """Say whether a file is the official one (None: not known), and what a reader must know otherwise."""
    known = official_file(folder, split)
    if known is None:
        return None, None
    if rows != known.rows:
        return False, f"{rows:,} of the official {known.rows:,} rows: not comparable with the full split"
    if known.sha256 is None:
        return None, None
    if sha256 != known.sha256:
        return False, "as many rows as the official file, but other content"
    return True, None
