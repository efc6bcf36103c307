"""Files of options: what they may say, where they are wrong, and who has the last word."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.common.errors import UsageError
from harness.runs.planning.sweep_file import AllowedNames, SweepConfig, combinations, read_sweep_file

NAMES = AllowedNames(
    options=("task", "variants", "threads", "max-length", "profile", "quiet"),
    lists=("task", "variants"),
    crossed=("threads", "max-length"),
    others=("gate",),
)


def said(tmp_path: Path, text: str) -> SweepConfig:
    file = tmp_path / "sweep.yaml"
    file.write_text(text)
    return read_sweep_file(file, NAMES)


def test_options_are_read_as_the_command_line_would_take_them(tmp_path: Path) -> None:
    """Lists are joined; the variant `null`, which YAML takes for nothing, is a variant."""
    found = said(tmp_path, "task: boolq\nvariants: [null, onnx-int8]\nthreads: 2\nquiet: true\n").settings
    assert {name: one.value for name, one in found.items()} == {
        "task": "boolq",
        "variants": "null,onnx-int8",
        "threads": "2",
        "quiet": True,
    }
    assert found["threads"].where == "sweep.yaml:3"


def test_a_sweep_crosses_single_values_and_keeps_lists_together(tmp_path: Path) -> None:
    """Two tasks are one option; two numbers of threads by two lengths are four points."""
    found = said(tmp_path, "sweep:\n  task: [cb, rte]\n  threads: [1, 2]\n  max-length: [64, 128]\n")
    assert found.settings["task"].value == "cb,rte"
    crossed = combinations({name: [one.value for one in values] for name, values in found.axes.items()})
    assert [(one["threads"], one["max-length"]) for one in crossed] == [
        ("1", "64"),
        ("1", "128"),
        ("2", "64"),
        ("2", "128"),
    ]


def test_an_empty_file_says_nothing_and_others_have_words_of_their_own(tmp_path: Path) -> None:
    """What the gate reads is no option of a run."""
    assert said(tmp_path, "# nothing\n") == SweepConfig()
    assert said(tmp_path, "gate:\n  anything: {at: all}\n") == SweepConfig()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("task: cb\nthraeds: 2\n", "sweep.yaml:2: unknown option 'thraeds'.\nDid you mean threads"),
        ("max_length: 2\n", "sweep.yaml:1: unknown option 'max_length'.\nDid you mean max-length"),
        ("sweep:\n  profile: [quick]\n", "sweep.yaml:2: unknown option 'profile'"),
        ("sweep:\n  threads: []\n", "sweep.yaml:2: threads has no value"),
        ("sweep:\n  threads: [1, 1]\n", "sweep.yaml:2: threads names a value twice"),
        ("sweep: [1]\n", "here should be options by name"),
        (
            "threads: [1, 2]\n",
            "sweep.yaml:1: this option takes one value.\nPut a list of them under `sweep:`.",
        ),
        ("threads:\n  a: 1\n", "sweep.yaml:1: a value is a word or a number."),
        ("variants:\n", "sweep.yaml:1: a value is a word or a number."),
        ("threads: 1\nthreads: 2\n", "sweep.yaml:2: threads is there twice, also at sweep.yaml:1"),
        ("- threads\n", "sweep.yaml:1: here should be options by name"),
        ("1: 2\n", "here should be options by name"),
        ("a: [", "not YAML"),
        ("a: !!python/object:os.system {}\n", "not YAML"),
    ],
)
def test_what_is_wrong_is_refused_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    """It must not measure something else than was meant."""
    with pytest.raises(UsageError) as caught:
        said(tmp_path, text)
    assert words in str(caught.value)


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path: Path) -> None:
    """With its name."""
    with pytest.raises(UsageError, match=r"none\.yaml: there is no such file"):
        read_sweep_file(tmp_path / "none.yaml", NAMES)
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00a")
    with pytest.raises(UsageError, match="not UTF-8"):
        read_sweep_file(tmp_path / "b.yaml", NAMES)


@given(text=st.text(max_size=80))
def test_no_text_whatever_does_anything_but_be_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    """A file comes from anywhere."""
    file = tmp_path_factory.getbasetemp() / "wild.yaml"
    file.write_text(text, encoding="utf-8")
    with suppress(UsageError):
        read_sweep_file(file, NAMES)


def test_without_axes_there_is_one_point() -> None:
    """The run that was asked for."""
    assert combinations({}) == [{}]


def test_combinations_are_counted_before_they_are_made() -> None:
    """Six lists of 100 values would be 10^12 runs."""
    with pytest.raises(UsageError) as caught:
        combinations({name: range(100) for name in "abcdef"})
    assert "100 of a x 100 of b x" in str(caught.value)
    assert "= 1,000,000,000,000 combinations, and at most 10,000 are run" in str(caught.value)
    assert len(combinations({"a": range(100), "b": range(100)})) == 10_000


def test_names_that_are_merged_have_the_value_of_the_mapping_itself(tmp_path: Path) -> None:
    """Anchors and `<<` are what YAML offers against repetition."""
    text = "gate: &base {threads: 1, profile: quick}\n<<: *base\nthreads: 2\n"
    settings = said(tmp_path, text).settings
    assert {name: one.value for name, one in settings.items()} == {"threads": "2", "profile": "quick"}
    assert settings["threads"].where == "sweep.yaml:3"


def test_an_option_that_may_be_given_several_times_takes_a_list(tmp_path: Path) -> None:
    """Or one value; commas are part of a value."""
    names = AllowedNames(options=("system-url",), lists=(), crossed=(), repeated=("system-url",))
    (tmp_path / "one.yaml").write_text("system-url: http://a/x,y\n")
    (tmp_path / "two.yaml").write_text("system-url:\n  - http://a\n  - http://b\n")
    values = [
        read_sweep_file(tmp_path / name, names).settings["system-url"].value
        for name in ("one.yaml", "two.yaml")
    ]
    assert values == [["http://a/x,y"], ["http://a", "http://b"]]
    (tmp_path / "three.yaml").write_text("system-url: [{a: b}]\n")
    with pytest.raises(UsageError, match="a value is a word or a number"):
        read_sweep_file(tmp_path / "three.yaml", names)
