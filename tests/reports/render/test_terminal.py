import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from records import a_failure, a_percentile, a_quality, a_record, an_accuracy, three_variants

from reports import render_records, wants_color

NARROW = """\
boolq on cpu, single-stream, encoded, 2 threads, batch 1, at most 256 tokens,
within one process

                                           speed-up over          speed-up over
variant                     accuracy       pytorch-fixed        pytorch-dynamic
───────────────────────────────────────────────────────────────────────────────
pytorch-fixed    88.0 % [86.0, 90.0]        1 (baseline)  0.500x [0.500, 0.500]
pytorch-dynamic  88.0 % [86.0, 90.0]  2.00x [2.00, 2.00]             1 (itself)
onnx-int8        88.0 % [86.0, 90.0]  5.00x [5.00, 5.00]     2.50x [2.50, 2.50]

                       mJ/request,    energy reduction  energy reduction over
variant                   measured  over pytorch-fixed        pytorch-dynamic
─────────────────────────────────────────────────────────────────────────────
pytorch-fixed       400 [400, 400]        1 (baseline)  0.500x [0.500, 0.500]
pytorch-dynamic     200 [200, 200]  2.00x [2.00, 2.00]             1 (itself)
onnx-int8        80.0 [80.0, 80.0]  5.00x [5.00, 5.00]     2.50x [2.50, 2.50]

                                                                          peak
variant                     p50 ms             p90 ms         requests/s   MiB
──────────────────────────────────────────────────────────────────────────────
pytorch-fixed    20.0 [19.6, 20.4]  30.0 [29.4, 30.6]  50.0 [50.0, 50.0]   600
pytorch-dynamic   10.0 [9.8, 10.2]  15.0 [14.7, 15.3]     100 [100, 100]   600
onnx-int8        4.00 [3.92, 4.08]  6.00 [5.88, 6.12]     250 [250, 250]   600

[low, high] is the 95 % interval; the note of an n/a gives the reason.
Speed-up and energy reduction: the reference's time or energy over the
variant's, trimmed mean of paired rounds, t interval over rounds, within one
process; differences within 2 % count as no change.
The 8 comparisons form one family, judged at 1 % together (Holm;
docs/explanation/method.md).
What another run would change is not known on this host, and in no interval.

What was measured
run      r1, default profile, seed 0
data     BoolQ/val, local, 1,000 examples, the official file, best constant
         answer 62.0 %, sha256 aaaaaaaaaaaa
model    bert-base-boolq, local, sha256 bbbbbbbbbbbb
rounds   7 of 7 in 1 launch; 700 requests per variant over 700 distinct
         examples; 14.0 s for pytorch-fixed
quality  from 700 timed and 300 untimed answers
harness  the loop costs 200 ns per request, 0.005 % of the fastest variant's
         time (onnx-int8)
meter    rapl: measured, scope package, source powercap
host     Example CPU @ 3.0 GHz, 2 usable of 4 logical CPUs, 16.0 GiB, kernel
         6.1.0, fingerprint cccccccccccc
"""

STACKED = """\
                               speed-up over    speed-up over
variant              accuracy  pytorch-fixed  pytorch-dynamic
─────────────────────────────────────────────────────────────
pytorch-fixed          88.0 %   1 (baseline)           0.500x
                 [86.0, 90.0]                  [0.500, 0.500]
pytorch-dynamic        88.0 %          2.00x       1 (itself)
                 [86.0, 90.0]   [2.00, 2.00]
onnx-int8              88.0 %          5.00x            2.50x
                 [86.0, 90.0]   [5.00, 5.00]     [2.50, 2.50]
"""

WITH_WARNINGS = """\
(1)  because pytorch-fixed was not measured in this run.
(2)  because pytorch-dynamic was not measured in this run.
(3)  because p90 needs 64 distinct requests, and there are 56.
(4)  torch-bf16 failed: the process ran out of memory. Lower --max-length.
[low, high] is the 95 % interval; the note of an n/a gives the reason.
Speed-up and energy reduction: the reference's time or energy over the
variant's, trimmed mean of paired rounds, t interval over rounds, within one
process; differences within 2 % count as no change.
What another run would change is not known on this host, and in no interval.

Warnings
percentile     Run r1 timed 56 distinct requests, too few: p90 needs 64.
               -> Time more examples: raise --limit, up to the 1,000 of this
               split.
near-majority  onnx-int8: its accuracy, 50.0 %, is not significantly above 62.0
               %, the score of the best constant answer.
               -> Train longer (`bench train`), or give a better checkpoint with
               --model.
cell-failed    torch-bf16 failed: the process ran out of memory.
               -> Lower --max-length.
"""


def test_at_80_columns_the_table_is_cut_into_three_that_keep_rows_on_a_line() -> None:
    """Gains, energy and costs, each with the names; below them what was measured."""
    assert render_records(three_variants(), "text", width=80) == NARROW


def test_with_room_for_all_there_is_one_table() -> None:
    """220 columns hold every column with its interval."""
    lines = render_records(three_variants(), "text", width=220).splitlines()
    assert sum("─" in line for line in lines) == 1
    (row,) = [line for line in lines if line.startswith("onnx-int8")]
    assert "5.00x [5.00, 5.00]" in row
    assert "250 [250, 250]" in row


def test_where_a_row_does_not_fit_intervals_go_below_their_values() -> None:
    """At 70 columns the first table needs two lines per row."""
    assert STACKED in render_records(three_variants(), "text", width=70)


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 160, 240])
def test_no_line_is_wider_than_the_terminal_and_no_number_is_cut(width: int) -> None:
    """At any width every interval is complete."""
    shown = render_records([*three_variants(), a_failure("torch-bf16")], "text", width=width)
    assert max(map(len, shown.splitlines())) <= width
    for interval in ("[86.0, 90.0]", "[0.500, 0.500]", "[80.0, 80.0]", "[29.4, 30.6]", "[250, 250]"):
        assert interval in shown


def test_a_terminal_too_narrow_for_a_column_gets_the_whole_column() -> None:
    """Numbers overflow and keep their digits."""
    assert "[0.500, 0.500]" in render_records(three_variants(), "text", width=10)


def test_notes_and_warnings_are_below_the_tables_with_their_next_steps() -> None:
    """Notes are numbered in order of first use."""
    poor = a_quality(metrics={"accuracy": an_accuracy(0.5, 0.48, 0.52)})
    latency = {"p50": a_percentile(5, needed=11, have=56), "p90": a_percentile(7, have=56)}
    shown = render_records(
        [a_record("onnx-int8", quality=poor, latency=latency), a_failure("torch-bf16")], "text"
    )
    assert WITH_WARNINGS in shown


def test_without_colour_there_is_no_escape_and_with_it_only_colour_is_added() -> None:
    """The same text, with and without."""
    plain = render_records(three_variants(), "text")
    coloured = render_records(three_variants(), "text", color=True)
    assert "\x1b" not in plain
    assert "\x1b[" in coloured
    bare = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    assert [line.rstrip() for line in bare.splitlines()] == plain.splitlines()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colour_is_for_terminals_that_support_it() -> None:
    """NO_COLOR set to anything, a dumb terminal or a pipe turn it off."""
    assert wants_color(Terminal(), {})
    assert wants_color(Terminal(), {"NO_COLOR": ""})
    assert not wants_color(Terminal(), {"NO_COLOR": "1"})
    assert not wants_color(Terminal(), {"TERM": "dumb"})
    assert not wants_color(io.StringIO(), {})


def test_hostile_text_is_shown_literally() -> None:
    """So are escapes, markup, line breaks and direction marks of a message."""
    evil = "\x1b[31mred\x1b[0m [bold]x[/bold] two\nlines \u202egnp :smile:"
    shown = render_records([a_failure("a\x1b]0;title\x07b", evil)], "text", width=200)
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "\u202e" not in shown
    assert r"\x1b[31mred\x1b[0m [bold]x[/bold] two lines \u202egnp :smile:" in shown
    assert r"a\x1b]0;title\x07b (failed)" in shown


@given(st.text(max_size=40))
def test_any_name_and_message_can_be_shown(text: str) -> None:
    """The output has only printable characters and line ends."""
    shown = render_records([a_failure(f"v{text}", text)], "text", width=80)
    assert all(char.isprintable() for line in shown.split("\n") for char in line)


def test_an_empty_report_is_a_sentence() -> None:
    """It is not an empty screen."""
    assert render_records([], "text") == "No records.\n"
