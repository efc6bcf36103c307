"""The official SuperGLUE v2 files and archives: sizes, checksums, terms.

Checksums are from the SuperGLUE v2 archives. Those of files agree with an independent source (GluonNLP
v0.9's SHA-1 or a Git LFS id), except MultiRC/train, which has none. BoolQ/train has a SHA-1 only. Sizes and
terms are from the SuperGLUE paper, table 1, and its data card.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

BASE_URL = "https://dl.fbaipublicfiles.com/glue/superglue/data/v2"
"""The address of the official archives; only `bench data download` connects to it."""


@dataclass(frozen=True, slots=True)
class OfficialFile:
    """One official file.

    `size` counts what SuperGLUE counts (rows; for MultiRC answers, for ReCoRD queries), `rows` the lines of
    the file (None: unknown). Where `sha256` is None, `sha1` identifies the file.
    """

    size: int
    rows: int | None
    sha256: str | None
    sha1: str | None = None

    def matches(self, path: Path) -> bool:
        """Return whether a file has the same bytes; OSError where it cannot be read."""
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256" if self.sha256 else "sha1")
        return digest.hexdigest() == (self.sha256 or self.sha1)


@dataclass(frozen=True, slots=True)
class OfficialTask:
    """One task as SuperGLUE distributes it: its archive, and its files by split.

    `unit` is what the sizes count; `terms` names the licence of the texts; `archive_bytes` and
    `archive_sha256` are those of `<folder>.zip`.
    """

    folder: str
    unit: str
    metrics: str
    terms: str
    archive_bytes: int
    archive_sha256: str
    files: Mapping[str, OfficialFile]

    @property
    def name(self) -> str:
        """The name on the command line: `ax-b`."""
        return self.folder.lower()

    def file_name(self, split: str) -> str:
        """Return the name of a split's file; a diagnostic has one file, named after itself."""
        return f"{split if 'val' in self.files else self.folder}.jsonl"


def _files(*rows_and_sha256: tuple[int, str | None]) -> dict[str, OfficialFile]:
    """Return the files of train, val and test of a task whose size is its number of rows."""
    return {
        split: OfficialFile(rows, rows, sha256)
        for split, (rows, sha256) in zip(("train", "val", "test"), rows_and_sha256, strict=True)
    }


_BOOLQ = _files(
    (9427, None),
    (3270, "0c86a5045886e5795fe9052003873f7d94b88ed3028a33007c51d99e44fd66d9"),
    (3245, "7e898b2585500df403d3551542b26134d71a1630944d97660fa7ca872527dcfe"),
) | {"train": OfficialFile(9427, 9427, None, sha1="d5be523290f49fc0f21f4375900451fb803817c0")}
_CB = _files(
    (250, "32017480d3a10508646e3efd64502c639f13d4d15077f278d2fd0992c33a3126"),
    (56, "c6125587e9601560cb16ea223c33964c5a915568d2af68a81f651b6ef25395ec"),
    (250, "860679c4ef6f56758f5530bfbcbf2fd7905667184144f3594ace9bb4c435618d"),
)
_COPA = _files(
    (400, "e74ed25f36119fff954d90900ebbaae277e2cc4864be4b961e7a46c8f67d11a9"),
    (100, "fa61467cc251010178ed72f8ca82a0fceefc4ca9a85f87ec3b6102955e1a1f1a"),
    (500, "7c7cd9fb3aa90bb56e0c683b6e556f6640d75388159fd6b551aa87e8a04c667e"),
)
_MULTIRC = {
    "train": OfficialFile(27243, 456, "bb73d0838618f8269190a2533fead3140607558975ea0df6511fa534e8d3535c"),
    "val": OfficialFile(4848, 83, "d2b480195b15574ac00d52c4479f630bc161a7ab2de77e970fd00652846953ee"),
    "test": OfficialFile(9693, 166, "1dc6da4f23250d50f600379aaa59618039ad09faba3566af6d17d85e4e68ecfa"),
}
_RECORD = {
    "train": OfficialFile(100_730, None, "be40993957aa752d2a355c76fba5b66bae9455a7522158a3b2e1a0f7e6f21b11"),
    "val": OfficialFile(10_000, 7481, "ed228700e8ffc6a5af3209a7faf334c4ea61d4f07e79806b693504e6a7dbafb2"),
    "test": OfficialFile(10_000, None, "3847abdf4b4f2f37ed18592c8ebf3b36d0295ef5b1b448b2a23b6eaf45386b48"),
}
_RTE = _files(
    (2490, "fdfb03443abe3ec0424b7fc5d1a8863361719bc061338b7a63e56b94d615f201"),
    (277, "ab990507bf5f35dc176cba7770a72bfa2c50a88ed72b8cc95cfbf9db95ab1af1"),
    (3000, "fb4025a8b072862f0323423dff1de8980a024bfb8775e09c80ff3cf1c77677b1"),
)
_WIC = _files(
    (5428, "ce301970aaf361ade6c1d218fe15c50b185b14a4bcb618c5785a8484a46f9943"),
    (638, "9f7207c88beba42cbc139de4c62ce05b23bffc189b3d561594b160e0c3920c0b"),
    (1400, "fe8fc664243b942d2bc025993ff16ef9c94611c5235bc50d6ed16ff645cc2703"),
)
_WSC = _files(
    (554, "0ffaa3fd8d21e58a0805962565d1619aa4819bc3d034255777f606f801ae5a42"),
    (104, "e5c685ea4bdc347354036a28176459f6feeb0b6870375ecfb3d6ddb1f0e28bef"),
    (146, "e278b00238f9f01764f39a934a6515379016c908b2191ff9174bd74296f28310"),
)
_AX_B = {"test": OfficialFile(1104, 1104, "c5fe470f2b1317886b5af5cd1e29ebf66ebc5dff3c76159e17c42dd1a5d93397")}
_AX_G = {"test": OfficialFile(356, 356, "39c7ed0b064327c1143c195145befdd748fda674162304ab3f5dd92d3b87368d")}

_ARCHIVES = {
    "BoolQ": (4_118_001, "853fbe7922f70c59629f06a39e8d9ca440c3d740e760fd3b87a5ddf3dcba2436"),
    "CB": (75_482, "8d641383298d54554066ba1c93f56ae7410af75df621b90c63028806bbbbb535"),
    "COPA": (43_986, "405906cddac74bc1e1ce8220f1107d1025b66a25ef10149d91b10bb30651125f"),
    "MultiRC": (1_116_225, "b3cd440856e72eb166b2edcd37b798455f1ebd51f2c3de64c0c2a4e1971d2737"),
    "ReCoRD": (51_757_880, "30c7b651ab21b8bf8fab986495cd1084333010e040548f861b839eec0044ac18"),
    "RTE": (750_920, "6310aab3f000424c9d0318a1ff20692e07c7f4aa15e8f17a5972ea0a35c398b9"),
    "WiC": (396_213, "ee7e67f4ae9eafbf533780faa198e62167f3cda54256cdf261877be3c0e90900"),
    "WSC": (32_751, "2ed6dfa94556b4a128ff0441efe365b2e883124e7e6aa00fb8d3a6cb1fd520a9"),
    "AX-b": (33_950, "43b45c55a273575c58a33cd68f10a971f83daa3aa223bfbc4077b92fbdf960b3"),
    "AX-g": (10_413, "2d4e00d3a7d23d2c3787ee4c1382cc81a72cb05a76fc9d78d142949247ed61b9"),
}
"""Bytes and sha256 of each `<folder>.zip`."""


def _task(
    folder: str, unit: str, metrics: str, terms: str, files: Mapping[str, OfficialFile]
) -> OfficialTask:
    return OfficialTask(folder, unit, metrics, terms, *_ARCHIVES[folder], files)


_TABLE = (
    _task("BoolQ", "rows", "accuracy", "CC BY-SA 3.0", _BOOLQ),
    _task("CB", "rows", "accuracy, macro-F1", "none stated", _CB),
    _task("COPA", "rows", "accuracy", "BSD 2-Clause", _COPA),
    _task("MultiRC", "answers", "F1a, EM", "none stated", _MULTIRC),
    _task("ReCoRD", "queries", "token-F1, EM", "Apache; Internet Archive terms", _RECORD),
    _task("RTE", "rows", "accuracy", "none stated", _RTE),
    _task("WiC", "rows", "accuracy", "CC BY-NC 4.0: non-commercial", _WIC),
    _task("WSC", "rows", "accuracy", "CC BY 4.0 (the original collection)", _WSC),
    _task("AX-b", "rows", "MCC", "none stated", _AX_B),
    _task("AX-g", "rows", "accuracy, gender parity", "none stated", _AX_G),
)

OFFICIAL: dict[str, OfficialTask] = {task.name: task for task in _TABLE}
"""The tasks that SuperGLUE distributes, by their name on the command line."""


def official_file(folder: str, split: str) -> OfficialFile | None:
    """Return the official file of a split, or None where there is none."""
    task = OFFICIAL.get(folder.lower())
    return task.files.get(split) if task and task.folder == folder else None


def official_status(
    folder: str, split: str, rows: int, sha256: str, sha1: str | None = None
) -> tuple[bool | None, str | None]:
    """Return whether a file is the official one (None: unknown), and if not, how it differs.

    `rows` counts the lines of the file. `sha1` is needed for the one official file without a known sha256.
    """
    official = official_file(folder, split)
    if official is None:
        return None, None
    expected, actual = (official.sha256, sha256) if official.sha256 else (official.sha1, sha1)
    if actual is not None and actual == expected:
        return True, None
    if official.rows is not None and rows != official.rows:
        return False, _row_counts(rows, official.rows)
    if actual is None:
        return None, None
    if official.rows is None:
        return False, "other content than the official file"
    return False, "as many rows as the official file, but other content"


def _row_counts(rows: int, official: int) -> str:
    if rows > official:
        return f"{rows:,} rows, more than the official {official:,}: other content"
    # `bench verify` compares this sentence with that of a record
    return f"{rows:,} of the official {official:,} rows: not comparable with the full split"
