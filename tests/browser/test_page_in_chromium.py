"""The page of a class in Chromium: it sorts, filters, opens, and runs no script but its own (`nox -s browser`)."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from graders import BROKEN, DRIFT, SOUND
from hostile import HOSTILE, hostile

from sft_ref.harness.core.verdict import Swap, Verdict
from sft_ref.harness.report.page.write import write_html

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: nox -s browser")

from selenium.webdriver.support.select import Select  # noqa: E402  # only where it is installed
from selenium.webdriver.support.wait import WebDriverWait  # noqa: E402

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

ATTACK = "<img src=x onerror=\"document.title='run'\"><script>document.title='run'</script>"
MEASURED = replace(BROKEN, losses=(3.0, 1.0, 0.5), swaps=(Swap("as submitted", 0, 64), Swap("the reference", 60, 64)))


@pytest.fixture(scope="module")
def browser() -> Iterator[Chrome]:
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("Chromium and its driver are not installed: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for word in ("--headless", "--no-sandbox", "--disable-gpu", "--window-size=1100,1400"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with webdriver.Chrome(options, webdriver.ChromeService(driver)) as found:
        yield found


def opened(browser: Chrome, folder: Path, *grades: Verdict) -> None:
    write_html(grades, folder / "page.html")
    browser.get((folder / "page.html").as_uri())


def column(browser: Chrome, number: int) -> list[str]:
    rows = browser.find_elements("css selector", "#targets tbody tr")
    return [row.find_elements("css selector", "td")[number].text for row in rows if row.is_displayed()]


def test_a_class_is_sorted_filtered_searched_and_opened(browser: Chrome, tmp_path: Path) -> None:
    names = ("b2", "b10", "a")
    opened(
        browser,
        tmp_path,
        *(replace(each, path=name) for each, name in zip((SOUND, MEASURED, DRIFT), names, strict=True)),
    )
    head = browser.find_element("css selector", "#targets th button")
    head.send_keys("\n")  # by the keyboard
    assert column(browser, 0) == ["a", "b2", "b10"]
    head.click()
    assert column(browser, 0) == ["b10", "b2", "a"]
    stages = Select(browser.find_element("css selector", "[data-filter=stages]"))
    stages.select_by_visible_text("parse")
    assert column(browser, 0) == ["b10"]
    assert browser.find_element("id", "shown").text == "1 shown"
    stages.select_by_visible_text("all")
    browser.find_element("css selector", "[data-filter=text]").send_keys("float16")
    assert column(browser, 0) == ["a"]
    browser.find_element("css selector", "[data-filter=text]").send_keys("\b" * len("float16"))
    browser.find_element("link text", "b10").click()
    assert browser.find_element("id", "target-2").get_attribute("open")
    assert "as submitted" in browser.find_element("id", "target-2").text


@pytest.mark.parametrize("single", [True, False], ids=["one target", "a class"])
def test_foreign_text_runs_no_script_and_fetches_nothing(browser: Chrome, tmp_path: Path, *, single: bool) -> None:
    attacked = replace(
        hostile(), path=ATTACK, cause=ATTACK + HOSTILE, cleared={ATTACK: ATTACK}, swaps=(Swap(ATTACK, 1, 2),)
    )
    opened(browser, tmp_path, *([attacked] if single else [attacked, SOUND]))
    assert browser.title.endswith("- sft-ref")
    assert "onerror" in browser.find_element("tag name", "body").text
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0
    assert not browser.get_log("browser")


def test_what_is_injected_into_the_page_does_not_run(browser: Chrome, tmp_path: Path) -> None:
    write_html([SOUND, MEASURED], tmp_path / "page.html")
    page = tmp_path / "page.html"
    page.write_text(page.read_text().replace("</main>", f"{ATTACK}</main>"))  # as if escaping had failed
    browser.get(page.as_uri())
    assert browser.title.endswith("- sft-ref")
    assert [each for each in browser.get_log("browser") if "Content Security Policy" in each["message"]]


@pytest.mark.parametrize("width", [360, 1100])
def test_nothing_is_wider_than_the_screen(browser: Chrome, tmp_path: Path, width: int) -> None:
    opened(browser, tmp_path, replace(MEASURED, path="x" * 300))
    screen = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_class_of_a_thousand_opens(browser: Chrome, tmp_path: Path) -> None:
    opened(browser, tmp_path, *(replace(MEASURED, path=f"student {n}") for n in range(1000)))
    timing = "const t = performance.getEntriesByType('navigation')[0]; return t.loadEventEnd - t.startTime"
    seconds = browser.execute_script(timing) / 1000
    print(f"a class of a thousand opens in {seconds:.2f} s")
    assert seconds > 0
    elements = "return document.getElementsByTagName('*').length"
    assert browser.execute_script(elements) < 13_000  # what decides the time; 116_000 take three times as long
    assert len(column(browser, 0)) == 1000
    browser.find_element("link text", "student 999").click()
    browser.find_element("css selector", "#target-8 summary").click()  # as a reader does, without the link
    for number in (1000, 8):
        report = browser.find_element("id", f"target-{number}")
        WebDriverWait(browser, 60).until(lambda _, one=report: "as submitted" in one.text)
        assert "Back to all targets" in report.text
    browser.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert browser.execute_script("return document.querySelectorAll('details .swaps').length") == 1000


def test_the_reports_of_a_large_class_run_no_script_and_fetch_nothing(browser: Chrome, tmp_path: Path) -> None:
    attacked = replace(hostile(), path=ATTACK, cause=ATTACK + HOSTILE, notes=(f"</script>{ATTACK}",))
    opened(browser, tmp_path, *(attacked for _ in range(101)))
    browser.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert browser.find_element("id", "target-101").text.count("onerror") > 2
    assert not browser.find_elements("css selector", "main img")
    assert browser.title.endswith("- sft-ref")
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0
    assert not browser.get_log("browser")
