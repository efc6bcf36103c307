"""The page in a real browser: `tox -e page`, or TEST_BROWSER=/usr/bin/chromium pytest tests/page."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hostile import HOSTILE
from records import a_failure, a_ladder, three_variants

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


def opened(browser: Any, file: Path, records: list[Any], **settings: Any) -> Any:
    """Write the page of these records, and open it from disk."""
    report = build_report(records, CostFactors((DEFAULT_PRICE,), Grid(56.0, "France")))
    file.write_text(write_report(report, "html", Style()), encoding="utf-8")
    tab = browser.new_page(**{"color_scheme": "light", **settings})
    tab.goto(file.as_uri())
    return tab


@pytest.fixture
def page(browser: Any, tmp_path: Path) -> Iterator[Any]:
    """Open a report from disk; check afterwards that the console is empty and only the file was requested."""
    records = [*three_variants(), *(a_failure(text, text) for text in HOSTILE)]
    file = tmp_path / "page.html"
    tab = opened(browser, file, records)
    messages: list[str] = []
    requests: list[str] = []
    tab.on("console", lambda message: messages.append(message.text))
    tab.on("pageerror", lambda problem: messages.append(str(problem)))
    tab.on("dialog", lambda dialog: messages.append(f"dialog: {dialog.message}"))
    tab.on("request", lambda request: requests.append(request.url))
    tab.reload()
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
    """The record shows warnings and host; the folded part that it lies in opens too."""
    page.locator(f"{ROW} a", has_text="onnx-int8").first.click()
    record = page.locator("#records details[id^=r][open]")
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
    """At the width of a phone, with all parts open."""
    page.set_viewport_size({"width": 390, "height": 800})
    page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth <= 390")


def two_tasks() -> list[Any]:
    """Return the records of two tasks."""
    changes = {"task": "rte", "group": "rte-cpu"}
    return [
        *three_variants(),
        *(
            record.model_copy(
                update={"cell": record.cell.model_copy(update={**changes, "id": f"rte-{number}"})}
            )
            for number, record in enumerate(three_variants())
        ),
    ]


def a_sweep() -> list[Any]:
    """Return the records of one task on one and on two threads."""
    changes = {"threads": 1, "group": "one-thread"}
    return [
        *three_variants(),
        *(
            record.model_copy(
                update={"cell": record.cell.model_copy(update={**changes, "id": f"one-{number}"})}
            )
            for number, record in enumerate(three_variants())
        ),
    ]


KINDS = {"run": three_variants, "ladder": a_ladder, "tasks": two_tasks, "sweep": a_sweep}


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_screen_answers_which_how_much_faster_and_at_what_loss(
    browser: Any, tmp_path: Path, kind: str
) -> None:
    """1280 x 800 pixels hold the headline, the sentence or its table, the plot, and the head of the table."""
    tab = opened(browser, tmp_path / "page.html", KINDS[kind](), viewport={"width": 1280, "height": 800})

    def is_on_screen(selector: str) -> bool:
        box = tab.locator(selector).first.bounding_box()
        right, bottom = (box["x"] + box["width"], box["y"] + box["height"]) if box else (1e9, 1e9)
        return right <= 1280 and bottom <= 800

    for selector in ("h1", "#verdict svg", "#verdict .claim", "#t1t th:nth-child(3)"):
        assert is_on_screen(selector), selector
    variant = "multi-instance" if kind == "ladder" else "onnx-int8"
    assert variant in tab.locator("h1").inner_text()
    claim = tab.locator("#verdict .claim").inner_text()
    assert ("40.0x" if kind == "ladder" else "2.50x") in claim
    assert "points" in claim
    tab.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", KINDS)
def test_axe_finds_no_fault(browser: Any, tmp_path: Path, kind: str, scheme: str) -> None:
    """Contrast, names, landmarks, headings and focus, with all parts open."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    tab = opened(browser, tmp_path / "page.html", KINDS[kind](), color_scheme=scheme)
    tab.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    faults = axe.run(tab).response["violations"]
    nodes = {fault["id"]: [node["html"][:120] for node in fault["nodes"][:3]] for fault in faults}
    assert nodes == {}
    tab.close()


def test_marks_of_the_plot_have_tips(browser: Any, tmp_path: Path) -> None:
    """Over a point stands its variant with both figures and their intervals."""
    tab = opened(browser, tmp_path / "page.html", three_variants())
    tips = tab.locator("#verdict svg g > title").evaluate_all("tips => tips.map((tip) => tip.textContent)")
    assert tips[2].startswith("onnx-int8: p50 latency, ms 4.00 [3.92, 4.08]; accuracy, % 88.0 [86.0, 90.0]")
    tab.close()


def test_printing_unfolds_everything(browser: Any, tmp_path: Path) -> None:
    """Paper has nothing to click on."""
    tab = opened(browser, tmp_path / "page.html", three_variants())
    assert tab.locator("details:not([open])").count() > 0
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert tab.locator("details:not([open])").count() == 0
    tab.close()
