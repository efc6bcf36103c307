"""The official SuperGLUE v2 files and archives: sizes, sums, terms; to say what is official and to fetch it.

Sums: the SuperGLUE v2 archives; each file's agrees with an independent record (GluonNLP v0.9's SHA-1 or a Git
LFS id), except MultiRC/train, which has none. BoolQ/train is known by its SHA-1 alone. Sizes and terms: the
SuperGLUE paper, table 1, and its data card.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

BASE_URL = "https://dl.fbaipublicfiles.com/glue/superglue/data/v2"
"""Where the official archives are; only `bench data download` goes there."""


@dataclass(frozen=True, slots=True)
class OfficialFile:
    """One official file.

    `size` counts what SuperGLUE counts (rows; for MultiRC answers, for ReCoRD queries), `rows` the lines of
    the file (None: not known). `sha256` is None where it is not known; then `sha1` is.
    """

    size: int
    rows: int | None
    sha256: str | None
    sha1: str | None = None

    def matches(self, path: Path) -> bool:
        """Say whether a file is this one, to the byte; OSError if it cannot be read."""
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256" if self.sha256 else "sha1")
        return digest.hexdigest() == (self.sha256 or self.sha1)


@dataclass(frozen=True, slots=True)
class OfficialTask:
    """One task as SuperGLUE gives it out: its archive, and its files by split.

    `unit` is what the sizes count; `terms` says in a few words under which licence the texts are;
    `archive_bytes` and `archive_sha256` are those of `<folder>.zip`.
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
        """Return the name of a split's file; the diagnostics have one file, named after themselves."""
        return f"{split if 'val' in self.files else self.folder}.jsonl"


def _same(*rows_and_sums: tuple[int, str | None]) -> dict[str, OfficialFile]:
    """Return the files of train, val and test where each line is one row."""
    return {
        split: OfficialFile(rows, rows, sha256)
        for split, (rows, sha256) in zip(("train", "val", "test"), rows_and_sums, strict=True)
    }


_BOOLQ = _same(
    (9427, None),
    (3270, "0c86a5045886e5795fe9052003873f7d94b88ed3028a33007c51d99e44fd66d9"),
    (3245, "7e898b2585500df403d3551542b26134d71a1630944d97660fa7ca872527dcfe"),
) | {"train": OfficialFile(9427, 9427, None, sha1="d5be523290f49fc0f21f4375900451fb803817c0")}
_CB = _same(
    (250, "32017480d3a10508646e3efd64502c639f13d4d15077f278d2fd0992c33a3126"),
    (56, "c6125587e9601560cb16ea223c33964c5a915568d2af68a81f651b6ef25395ec"),
    (250, "860679c4ef6f56758f5530bfbcbf2fd7905667184144f3594ace9bb4c435618d"),
)
_COPA = _same(
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
_RTE = _same(
    (2490, "fdfb03443abe3ec0424b7fc5d1a8863361719bc061338b7a63e56b94d615f201"),
    (277, "ab990507bf5f35dc176cba7770a72bfa2c50a88ed72b8cc95cfbf9db95ab1af1"),
    (3000, "fb4025a8b072862f0323423dff1de8980a024bfb8775e09c80ff3cf1c77677b1"),
)
_WIC = _same(
    (5428, "ce301970aaf361ade6c1d218fe15c50b185b14a4bcb618c5785a8484a46f9943"),
    (638, "9f7207c88beba42cbc139de4c62ce05b23bffc189b3d561594b160e0c3920c0b"),
    (1400, "fe8fc664243b942d2bc025993ff16ef9c94611c5235bc50d6ed16ff645cc2703"),
)
_WSC = _same(
    (554, "0ffaa3fd8d21e58a0805962565d1619aa4819bc3d034255777f606f801ae5a42"),
    (104, "e5c685ea4bdc347354036a28176459f6feeb0b6870375ecfb3d6ddb1f0e28bef"),
    (146, "e278b00238f9f01764f39a934a6515379016c908b2191ff9174bd74296f28310"),
)
_AX_B = {"test": OfficialFile(1104, 1104, "c5fe470f2b1317886b5af5cd1e29ebf66ebc5dff3c76159e17c42dd1a5d93397")}
_AX_G = {"test": OfficialFile(356, 356, "39c7ed0b064327c1143c195145befdd748fda674162304ab3f5dd92d3b87368d")}

_TABLE = (
    OfficialTask(
        *("BoolQ", "rows", "accuracy", "CC BY-SA 3.0"),
        *(4_118_001, "853fbe7922f70c59629f06a39e8d9ca440c3d740e760fd3b87a5ddf3dcba2436", _BOOLQ),
    ),
    OfficialTask(
        *("CB", "rows", "accuracy, macro-F1", "none stated"),
        *(75_482, "8d641383298d54554066ba1c93f56ae7410af75df621b90c63028806bbbbb535", _CB),
    ),
    OfficialTask(
        *("COPA", "rows", "accuracy", "BSD 2-Clause"),
        *(43_986, "405906cddac74bc1e1ce8220f1107d1025b66a25ef10149d91b10bb30651125f", _COPA),
    ),
    OfficialTask(
        *("MultiRC", "answers", "F1a, EM", "none stated"),
        *(1_116_225, "b3cd440856e72eb166b2edcd37b798455f1ebd51f2c3de64c0c2a4e1971d2737", _MULTIRC),
    ),
    OfficialTask(
        *("ReCoRD", "queries", "token-F1, EM", "Apache; Internet Archive terms"),
        *(51_757_880, "30c7b651ab21b8bf8fab986495cd1084333010e040548f861b839eec0044ac18", _RECORD),
    ),
    OfficialTask(
        *("RTE", "rows", "accuracy", "none stated"),
        *(750_920, "6310aab3f000424c9d0318a1ff20692e07c7f4aa15e8f17a5972ea0a35c398b9", _RTE),
    ),
    OfficialTask(
        *("WiC", "rows", "accuracy", "CC BY-NC 4.0: non-commercial"),
        *(396_213, "ee7e67f4ae9eafbf533780faa198e62167f3cda54256cdf261877be3c0e90900", _WIC),
    ),
    OfficialTask(
        *("WSC", "rows", "accuracy", "CC BY 4.0 (the original collection)"),
        *(32_751, "2ed6dfa94556b4a128ff0441efe365b2e883124e7e6aa00fb8d3a6cb1fd520a9", _WSC),
    ),
    OfficialTask(
        *("AX-b", "rows", "MCC", "none stated"),
        *(33_950, "43b45c55a273575c58a33cd68f10a971f83daa3aa223bfbc4077b92fbdf960b3", _AX_B),
    ),
    OfficialTask(
        *("AX-g", "rows", "accuracy, gender parity", "none stated"),
        *(10_413, "2d4e00d3a7d23d2c3787ee4c1382cc81a72cb05a76fc9d78d142949247ed61b9", _AX_G),
    ),
)

OFFICIAL: dict[str, OfficialTask] = {task.name: task for task in _TABLE}
"""What SuperGLUE gives out, by the name on the command line."""


def official_file(folder: str, split: str) -> OfficialFile | None:
    """Return what is known of an official file, or None."""
    task = OFFICIAL.get(folder.lower())
    return task.files.get(split) if task and task.folder == folder else None


def note_on(
    folder: str, split: str, rows: int, sha256: str, sha1: str | None = None
) -> tuple[bool | None, str | None]:
    """Say whether a file is the official one (None: not known), and what a reader must know otherwise.

    `rows` counts the lines of the file; `sha1` is needed where the official file is known by that sum alone.
    """
    known = official_file(folder, split)
    if known is None:
        return None, None
    expected, found = (known.sha256, sha256) if known.sha256 else (known.sha1, sha1)
    if found is not None and found == expected:
        return True, None
    if known.rows is not None and rows != known.rows:
        return False, f"{rows:,} of the official {known.rows:,} rows: not comparable with the full split"
    if found is None:
        return None, None
    if known.rows is None:
        return False, "other content than the official file"
    return False, "as many rows as the official file, but other content"
