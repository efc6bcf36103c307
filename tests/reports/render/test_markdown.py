from hypothesis import given
from hypothesis import strategies as st
from records import a_failure, a_record, three_variants

from reports import render_records

PAGE = r"""### boolq on cpu, single-stream, encoded, 2 threads, batch 1, at most 256 tokens, within one process

| variant | accuracy | speed-up over pytorch-fixed | speed-up over pytorch-dynamic | mJ/request, modelled | modelled energy reduction over pytorch-fixed | modelled energy reduction over pytorch-dynamic |
| :--- | ---: | ---: | ---: | ---: | ---: | ---: |
| pytorch-fixed | 88.0 % [86.0, 90.0] | 1 (baseline) | n/a (1) | 400 [400, 400] | 1 (baseline) | n/a (1) |
| onnx-int8 | 88.0 % [86.0, 90.0] | 5.00x [5.00, 5.00] | n/a (1) | 80.0 [80.0, 80.0] | 5.00x [5.00, 5.00] | n/a (1) |

| variant | p50 ms | p90 ms | requests/s | peak MiB |
| :--- | ---: | ---: | ---: | ---: |
| pytorch-fixed | 20.0 [19.6, 20.4] | 30.0 [29.4, 30.6] | 50.0 [50.0, 50.0] | 600 |
| onnx-int8 | 4.00 [3.92, 4.08] | 6.00 [5.88, 6.12] | 250 [250, 250] | 600 |

1. because pytorch-dynamic was not measured in this run.

\[low, high\] is the 95 % interval; the note of an n/a gives the reason.
Speed-up and energy reduction: the reference's time or energy over the variant's, trimmed mean of paired rounds, t interval over rounds, within one process; differences within 2 % count as no change.
The 2 comparisons form one family, judged at 1 % together (Holm; docs/explanation/method.md).
What another run would change is not known on this host, and in no interval.
Joules are modelled: CPU time in other units.

**Warnings**

- **energy-modelled**: Run r1: joules are modelled, not measured: CPU time in other units.
  - \`bench doctor\` lists the meters and what each would need.

**What was measured**

- run: r1, default profile, seed 0
- data: BoolQ/val, local, 1,000 examples, the official file, best constant answer 62.0 %, sha256 aaaaaaaaaaaa
- model: bert-base-boolq, local, sha256 bbbbbbbbbbbb
- rounds: 7 of 7 in 1 launch; 700 requests per variant over 700 distinct examples; 14.0 s for pytorch-fixed
- quality: from 700 timed and 300 untimed answers
- harness: the loop costs 200 ns per request, 0.005 % of the fastest variant's time (onnx-int8)
- meter: rapl: modelled, scope package, source powercap
- host: Example CPU @ 3.0 GHz, 2 usable of 4 logical CPUs, 16.0 GiB, kernel 6.1.0, fingerprint cccccccccccc
"""  # noqa: E501 -- a row of a Markdown table is one line


def test_the_page_is_two_tables_with_notes_warnings_and_facts() -> None:
    """Gains first, absolute figures below; remarks end with two blanks, which make a line break."""
    fixed, _, int8 = three_variants(reading={"grade": "modelled"})
    shown = render_records([fixed, int8], "markdown")
    assert "\n".join(line.rstrip() for line in shown.splitlines()) + "\n" == PAGE
    assert "gives the reason.  \n" in shown


def test_hostile_text_neither_breaks_the_table_nor_becomes_markup() -> None:
    """Pipes, backticks, tags, links and line breaks of a message are shown literally."""
    shown = render_records(
        [a_failure("a|b`c", "<script>alert(1)</script> [x](http://y) *z*\n| new | row |")], "markdown"
    )
    assert r"| a\|b\`c (failed) |" in shown
    assert "<" not in shown
    assert r"&lt;script&gt;alert(1)&lt;/script&gt; \[x\](http://y) \*z\* \| new \| row \|" in shown


@given(st.text(max_size=40))
def test_every_row_has_as_many_cells_for_any_name(name: str) -> None:
    """Only the pipes between cells are unescaped."""
    shown = render_records([a_record(f"v{name}")], "markdown")
    rows = [line for line in shown.split("\n") if line.startswith("|")]
    bare = [row.replace("\\\\", "").replace("\\|", "").count("|") for row in rows]
    assert bare == [8, 8, 8, 6, 6, 6]


def test_an_empty_report_is_a_sentence() -> None:
    """It is one sentence."""
    assert render_records([], "markdown") == "No records.\n"
