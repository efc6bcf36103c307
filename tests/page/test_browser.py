"""The page in a real browser: `tox -e page`, or TEST_BROWSER=/usr/bin/chromium pytest tests/page."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hostile import HOSTILE
from records import a_failure, three_variants

from reports import CostFactors, Grid, build_report, write_report
from reports.layout.style import Style
from reports.values.prices import DEFAULT_PRICE

BROWSER = os.environ.get("TEST_BROWSER")
if not BROWSER:
    pytest.skip("TEST_BROWSER names no browser; tox -e page does", allow_module_level=True)
sync_api = pytest.importorskip("playwright.sync_api")

ROW = "#t1t tbody tr:not([hidden])"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Start the browser that TEST_BROWSER names; `playwright` is the one that playwright installed."""
    own = None if BROWSER == "playwright" else BROWSER
    with sync_api.sync_playwright() as started:
        found = started.chromium.launch(executable_path=own)
        yield found
        found.close()


@pytest.fixture
def page(browser: Any, tmp_path: Path) -> Iterator[Any]:
    """Open a report from disk; afterwards the console is empty, and nothing but the file was asked for."""
    records = [*three_variants(), *(a_failure(text, text) for text in HOSTILE)]
    file = tmp_path / "page.html"
    book = build_report(records, CostFactors((DEFAULT_PRICE,), Grid(56.0, "France")))
    file.write_text(write_report(book, "html", Style()), encoding="utf-8")
    opened = browser.new_page(color_scheme="light")
    said: list[str] = []
    asked: list[str] = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda problem: said.append(str(problem)))
    opened.on("dialog", lambda dialog: said.append(f"dialog: {dialog.message}"))
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(file.as_uri())
    yield opened
    assert said == []
    assert asked == [file.as_uri()]
    opened.close()


def names(page: Any) -> list[str]:
    return [text.strip() for text in page.locator(f"{ROW} td:first-child").all_inner_texts()]


def test_a_column_sorts_by_value_both_ways_and_what_is_absent_stays_last(page: Any) -> None:
    """Speed-ups are 1, 2 and 5; clicked twice, the fastest comes first."""
    header = page.locator("#t1t th", has_text="speed-up over pytorch-fixed")
    header.locator("button").click()
    assert header.get_attribute("aria-sort") == "ascending"
    assert names(page)[:3] == ["pytorch-fixed", "pytorch-dynamic", "onnx-int8"]
    header.locator("button").click()
    assert header.get_attribute("aria-sort") == "descending"
    assert names(page)[:3] == ["onnx-int8", "pytorch-dynamic", "pytorch-fixed"]
    assert page.locator('#t1t th[aria-sort="descending"]').count() == 1


def test_sorting_needs_no_mouse(page: Any) -> None:
    """The heading is a button: it takes the focus, and Enter or a blank presses it."""
    button = page.locator("#t1t th button").first
    button.focus()
    page.keyboard.press("Enter")
    assert page.locator("#t1t th").first.get_attribute("aria-sort") == "ascending"
    page.keyboard.press("Space")
    assert page.locator("#t1t th").first.get_attribute("aria-sort") == "descending"


def test_rows_are_filtered_by_words_and_counted(page: Any) -> None:
    """Both words have to be there; an empty box shows all again."""
    box = page.get_by_label("Filter rows").first
    box.fill("pytorch dynamic")
    assert names(page) == ["pytorch-dynamic"]
    assert page.locator("#t1 output").inner_text() == f"1 of {3 + len(HOSTILE)} rows"
    box.fill("")
    assert len(names(page)) == 3 + len(HOSTILE)


def test_a_row_leads_to_its_record_which_opens(page: Any) -> None:
    """With warnings and host."""
    page.locator(f"{ROW} a", has_text="onnx-int8").first.click()
    record = page.locator("details[id^=r][open]")
    record.wait_for()
    assert "boolq-onnx-int8" in record.locator("summary").inner_text()
    assert record.locator("dd").first.is_visible()


def test_light_and_dark_follow_the_system_and_the_button(page: Any) -> None:
    """The drawing's ink is the page's."""

    def paper() -> str:
        return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    assert paper() == "rgb(255, 255, 255)"
    page.emulate_media(color_scheme="dark")
    assert paper() == "rgb(21, 24, 27)"
    page.locator("button.theme").click()
    assert paper() == "rgb(255, 255, 255)"
    page.locator("button.theme").click()
    assert paper() == "rgb(21, 24, 27)"
    ink = "getComputedStyle(document.querySelector('figure svg text')).fill"
    assert page.evaluate(ink) == "rgb(230, 232, 234)"


def test_hostile_text_is_text(page: Any) -> None:
    """As it was written, visible, in its row."""
    assert any("<script>alert(1)</script>" in name for name in names(page))
    assert page.locator("img").count() == 0


def test_a_narrow_screen_scrolls_the_table_and_not_the_page(page: Any) -> None:
    """At the width of a telephone."""
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth <= 400")
