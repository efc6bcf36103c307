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
    pytest.skip("TEST_BROWSER is not set; `tox -e page` sets it", allow_module_level=True)
sync_api = pytest.importorskip("playwright.sync_api")

ROW = "#t1t tbody tr:not([hidden])"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Start the browser that TEST_BROWSER names; `playwright` is the one that playwright installed."""
    executable = None if BROWSER == "playwright" else BROWSER
    with sync_api.sync_playwright() as started:
        launched = started.chromium.launch(executable_path=executable)
        yield launched
        launched.close()


@pytest.fixture
def page(browser: Any, tmp_path: Path) -> Iterator[Any]:
    """Open a report from disk; check afterwards that the console is empty and only the file was requested."""
    records = [*three_variants(), *(a_failure(text, text) for text in HOSTILE)]
    file = tmp_path / "page.html"
    report = build_report(records, CostFactors((DEFAULT_PRICE,), Grid(56.0, "France")))
    file.write_text(write_report(report, "html", Style()), encoding="utf-8")
    tab = browser.new_page(color_scheme="light")
    messages: list[str] = []
    requests: list[str] = []
    tab.on("console", lambda message: messages.append(message.text))
    tab.on("pageerror", lambda problem: messages.append(str(problem)))
    tab.on("dialog", lambda dialog: messages.append(f"dialog: {dialog.message}"))
    tab.on("request", lambda request: requests.append(request.url))
    tab.goto(file.as_uri())
    yield tab
    assert messages == []
    assert requests == [file.as_uri()]
    tab.close()


def names(page: Any) -> list[str]:
    return [text.strip() for text in page.locator(f"{ROW} td:first-child").all_inner_texts()]


def test_a_column_sorts_by_value_both_ways_with_absent_values_last(page: Any) -> None:
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
    """The heading is a button: it can have the focus, and Enter or a blank presses it."""
    button = page.locator("#t1t th button").first
    button.focus()
    page.keyboard.press("Enter")
    assert page.locator("#t1t th").first.get_attribute("aria-sort") == "ascending"
    page.keyboard.press("Space")
    assert page.locator("#t1t th").first.get_attribute("aria-sort") == "descending"


def test_rows_are_filtered_by_words_and_counted(page: Any) -> None:
    """A row must contain both words; an empty box shows all rows."""
    box = page.get_by_label("Filter rows").first
    box.fill("pytorch dynamic")
    assert names(page) == ["pytorch-dynamic"]
    assert page.locator("#t1 output").inner_text() == f"1 of {3 + len(HOSTILE)} rows"
    box.fill("")
    assert len(names(page)) == 3 + len(HOSTILE)


def test_the_link_of_a_row_opens_its_record(page: Any) -> None:
    """The record shows warnings and host."""
    page.locator(f"{ROW} a", has_text="onnx-int8").first.click()
    record = page.locator("details[id^=r][open]")
    record.wait_for()
    assert "boolq-onnx-int8" in record.locator("summary").inner_text()
    assert record.locator("dd").first.is_visible()


def test_light_and_dark_follow_the_system_and_the_button(page: Any) -> None:
    """Drawings have the text colour of the page."""

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


def test_hostile_text_is_shown_literally(page: Any) -> None:
    """It is visible in its row."""
    assert any("<script>alert(1)</script>" in name for name in names(page))
    assert page.locator("img").count() == 0


def test_a_narrow_screen_scrolls_the_table_and_not_the_page(page: Any) -> None:
    """At the width of a phone."""
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth <= 400")
