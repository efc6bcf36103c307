import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hostile import HOSTILE, hostile_texts
from hypothesis import given, settings
from records import a_failure, a_ladder, a_record, three_variants

import reports
from reports import CostFactors, Report, Style, build_report, write_report
from reports.values.figures import figures_of_group

VOID = {"meta", "input", "br", "img", "link"}


class Page(HTMLParser):
    """Parses a page and checks what holds for every page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), (tag, names)
        self.attributes += [(name, value or "") for name, value in attrs]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.links += [value or "" for name, value in attrs if name.endswith("href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def page_of(records: list, factors: CostFactors = CostFactors()) -> tuple[str, Page]:  # noqa: B008 -- frozen
    text = write_report(build_report(records, factors), "html", Style())
    return text, Page(text)


@pytest.fixture(scope="module")
def everything() -> tuple[str, Page]:
    """Return the page of a ladder, plain records and a failure."""
    return page_of([*a_ladder(run="r2"), *three_variants(), a_failure("torch-bf16")])


def test_the_page_is_well_formed_and_its_ids_are_unique(everything: tuple[str, Page]) -> None:
    """Tags close in order; ids are unique, those of drawings too."""
    _, page = everything
    assert len(page.ids) == len(set(page.ids))
    assert {"html", "main", "table", "svg", "details", "script"} <= set(page.tags)


def test_every_link_has_a_target_in_the_page(everything: tuple[str, Page]) -> None:
    """A record, a note, a section, or a part of a drawing."""
    _, page = everything
    assert page.links
    assert {link for link in page.links if not link.startswith("#")} == set()
    assert {link[1:] for link in page.links} <= set(page.ids)


def test_the_page_does_not_use_the_network(everything: tuple[str, Page]) -> None:
    """No attribute or style has an address, and the page's policy forbids requests."""
    text, page = everything
    assert not [value for _, value in page.attributes if re.search(r"(https?:)?//\w", value)]
    assert not {name for name, _ in page.attributes} & {"src", "srcset", "action", "data"}
    assert "@import" not in text
    assert "default-src &#39;none&#39;" in text or "default-src 'none'" in text


def test_only_the_pages_own_script_can_run(everything: tuple[str, Page]) -> None:
    """The policy names it by hash, and the page has no other."""
    text, page = everything
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = next(value for name, value in page.attributes if name == "content" and "default-src" in value)
    assert f"script-src 'sha256-{digest}'" in policy
    assert not [name for name, _ in page.attributes if name.startswith("on")]


def test_every_row_links_to_its_record_with_warnings_and_host(everything: tuple[str, Page]) -> None:
    """A failed record has a link too."""
    text, _ = everything
    (number,) = re.findall(r'<a href="#(r\d+)">torch-bf16 \(failed\)</a>', text)[:1]
    (record,) = re.findall(rf'<details id="{number}">(.*?)</details>', text, re.DOTALL)
    assert "r1/boolq-torch-bf16 (failed)" in record
    assert "the process ran out of memory." in record
    assert "<b>cell-failed</b>" in record
    assert 'href="#h1"' in record


def test_units_intervals_grades_and_notes_are_on_the_page() -> None:
    """Headings and remarks mark modelled joules."""
    text, page = page_of(three_variants(reading={"grade": "modelled"}))
    assert "mJ/request, modelled" in text
    assert "<i>[5.00, 5.00]</i>" in text
    assert page.texts.count("Joules are modelled: CPU time in other units.") >= 2
    assert "(1)</a>" in page_of([a_record()])[0]


def test_columns_sort_by_value_and_not_by_text(everything: tuple[str, Page]) -> None:
    """20 ms are 2e+07 ns, whatever the unit of the cell."""
    text, _ = everything
    assert 'data-v="2e+07"' in text
    assert 'data-v="nan"' not in text


def test_hostile_text_is_shown_and_never_markup() -> None:
    """In names, messages and remedies; the page has the same tags without them."""
    harmless, _ = page_of(
        [*three_variants(), *(a_failure(f"v{number}", "m") for number in range(len(HOSTILE)))]
    )
    hostile, page = page_of([*three_variants(), *(a_failure(text, text) for text in HOSTILE)])
    assert "<script>alert" not in hostile
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert page.tags.count("script") == 1
    assert page.tags.count("img") == 0
    assert Page(harmless).tags.count("a") == page.tags.count("a")
    assert "{{ 7 * 7 }}" in hostile.replace("&#123;", "{")


@given(hostile_texts)
@settings(max_examples=15, deadline=None)
def test_no_name_breaks_the_page(text: str) -> None:
    """The tags are those of any other name, and no control or direction character is in the page."""
    html, page = page_of([a_failure(text, text)])
    plain, _ = page_of([a_failure("v", "m")])
    assert page.tags == Page(plain).tags
    assert all(char.isprintable() or char == "\n" for char in html)


def test_the_page_of_a_full_sweep_stays_under_2_mb() -> None:
    """96 groups of 6 variants: 8 tasks, 2 scenarios, 3 numbers of threads and 2 lengths."""
    names = ("pytorch-fixed", "pytorch-dynamic", "onnx-fp32", "onnx-int8", "torch-bf16", "openvino-int8")
    model = figures_of_group([a_record(name, (500.0, 510.0, 490.0, 505.0)) for name in names])
    groups = []
    for task in ("boolq", "cb", "copa", "multirc", "record", "rte", "wic", "wsc"):
        for scenario in ("single-stream", "offline"):
            for threads, length in [(threads, length) for threads in (1, 2, 4) for length in (128, 256)]:
                group = []
                for item in model:
                    settings_ = {"task": task, "scenario": scenario, "threads": threads, "max_length": length}
                    name = f"{task}-{item.record.cell.variant}-{scenario}-{threads}-{length}"
                    cell = item.record.cell.model_copy(update={**settings_, "id": name, "group": name})
                    group.append(replace(item, record=item.record.model_copy(update={"cell": cell})))
                groups.append(tuple(group))
    records = tuple(item.record for group in groups for item in group)
    text = write_report(Report(records, (), tuple(groups), CostFactors()), "html", Style())
    assert len(records) == 576
    assert len(text.encode()) < 2_000_000
    assert "more plots are left out" in text


def test_the_page_is_the_format_html() -> None:
    """The command line uses this name."""
    assert reports.render_records([a_record()], "html").startswith("<!DOCTYPE html>")
