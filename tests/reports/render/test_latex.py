import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hostile import HOSTILE, hostile_texts
from hypothesis import given
from records import a_failure, three_variants

import reports
from reports.render.latex import escape_latex

TABULAR = r"""\begin{tabular}{lrrr}
\toprule
{variant} & {accuracy} & {\shortstack[r]{speed-up over\\pytorch-fixed}} & {\shortstack[r]{speed-up over\\pytorch-dynamic}} \\
\midrule
{pytorch-fixed} & {88.0 \% {\scriptsize [86.0, 90.0]}} & {1 (baseline)} & {n/a\textsuperscript{1}} \\
{onnx-int8} & {88.0 \% {\scriptsize [86.0, 90.0]}} & {5.00x {\scriptsize [5.00, 5.00]}} & {n/a\textsuperscript{1}} \\
\bottomrule
\end{tabular}\par\medskip
"""  # noqa: E501 -- a row is one line

EVERY = "".join(map(chr, range(0x20, 0x180)))
_COMMAND = re.compile(r"\\(?:text[a-z]+(?:\{\})|[{}$&%#_])|-\{\}|,\{\}")


def test_a_table_is_one_tabular_for_each_part() -> None:
    """Intervals small, notes raised, long headings on two lines."""
    fixed, _, int8 = three_variants()
    shown = reports.render_records([fixed, int8], "latex")
    assert TABULAR in shown
    table = shown.partition(r"\end{table}")[0]
    assert table.count(r"\begin{tabular}") == table.count(r"\end{tabular}") == 3
    caption = (
        "boolq on cpu, single-stream, encoded, 2 threads, batch 1, at most 256 tokens, within one process"
    )
    assert rf"\caption{{{caption}}}" in table
    assert r"\textsuperscript{1} because pytorch-dynamic was not measured in this run.\par" in table
    assert r"\textbf{meter:} rapl: measured, scope package, source powercap\par" in table


def test_headings_and_remarks_mark_modelled_joules() -> None:
    """So do the cost tables."""
    shown = reports.render_records(three_variants(reading={"grade": "modelled"}), "latex")
    assert "mJ/request, modelled" in shown.replace(r"\\", " ")
    assert "Joules are modelled: CPU time in other units." in shown
    assert "modelled kWh/100M" in shown.replace(r"\\", " ")


@given(hostile_texts)
def test_no_text_is_a_command(text: str) -> None:
    """Without our own commands the rest has no character that is special to LaTeX."""
    rest = _COMMAND.sub("", escape_latex(text))
    assert not set(rest) & set("\\{}$&%#_^~<>|\"'`")
    assert "--" not in escape_latex(text)
    assert all(ord(char) < 0x100 for char in rest)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_accepts_any_name_and_message(tmp_path: Path) -> None:
    """The preamble has only booktabs."""
    failed = [a_failure(f"{text} {number}", text) for number, text in enumerate((*HOSTILE, EVERY))]
    body = reports.render_records([*three_variants(), *failed], "latex")
    page = f"\\documentclass{{article}}\\usepackage{{booktabs}}\\begin{{document}}\n{body}\\end{{document}}\n"
    (tmp_path / "page.tex").write_text(page, encoding="utf-8")
    command = ["pdflatex", "-no-shell-escape", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]
