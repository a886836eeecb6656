"""Pages in a real browser: figures enlarge, tables sort, images are filtered, axe is content, nothing is fetched."""

from __future__ import annotations

import json

import numpy as np
import pytest

from dcgan_analysis.api.result import Gallery, Table
from dcgan_analysis.report import paired_table, write_report
from dcgan_analysis.report.comparison_page import render_comparison
from dcgan_analysis.report.index import render_index
from dcgan_analysis.runs.batch import Outcome

# Class and prediction of each image of the gallery: two of three cats are right, and no dog.
LABELS, PREDICTIONS = [0, 0, 0, 1], [0, 0, 1, 0]
AMOUNTS = [9, 28672, None, 100]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run folder with two figures and a sheet of four images."""
    from PIL import Image

    from dcgan_analysis.figures.pixels import save_sheet

    folder = tmp_path_factory.mktemp("run")
    for name, size in (("one", (30, 20)), ("two", (40, 20))):
        (folder / "figures").mkdir(exist_ok=True)
        Image.new("RGB", size, "teal").save(folder / "figures" / f"{name}.png")
    images = np.random.default_rng(0).integers(0, 256, (4, 3, 32, 32), dtype=np.uint8)
    save_sheet(images, folder / "figures" / "test-images.jpg", largest=48)
    return folder


@pytest.fixture
def result(make_result, folder):
    from dcgan_analysis.api.result import Figure

    figures = [
        Figure(name=name, file=f"figures/{name}.png", title=name, caption=f"The {name}.") for name in ("one", "two")
    ]
    gallery = Gallery(
        name="test-images",
        file="figures/test-images.jpg",
        title="Test images",
        columns=2,
        classes=["cat", "dog"],
        ids=list("abcd"),
        labels=LABELS,
        predictions=PREDICTIONS,
    )
    table = Table(
        name="amounts",
        title="Amounts",
        columns=["name", "amount", "share"],
        rows=[[f"row {amount}", amount, share] for amount, share in zip(AMOUNTS, (0.05, 0.5, 0.25, None), strict=True)],
        percent=["share"],
    )
    return make_result(figures=figures, galleries=[gallery], tables=[table], folder=folder)


@pytest.fixture
def opened(result, folder, browser):
    browser.get(write_report(result, folder).as_uri())
    return browser


def all_of(browser, selector):
    return browser.find_elements("css selector", selector)


def first(browser, selector):
    return browser.find_element("css selector", selector)


def press(browser, *keys):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    ActionChains(browser).send_keys(*(getattr(Keys, key) for key in keys)).perform()


def test_a_figure_enlarges_by_keyboard_and_gives_the_focus_back(opened):
    button = first(opened, "figure .enlarge")
    assert button.accessible_name == "Enlarge: one"
    opened.execute_script("arguments[0].focus()", button)
    press(opened, "ENTER")
    dialog = first(opened, "dialog")
    assert dialog.get_attribute("open")
    assert first(opened, "dialog h2").text == "one"
    press(opened, "ARROW_RIGHT")
    assert first(opened, "dialog h2").text == "two"
    assert first(opened, "dialog img").get_attribute("alt") == "two. The two."
    press(opened, "ARROW_RIGHT", "ESCAPE")
    assert not dialog.get_attribute("open")
    assert opened.switch_to.active_element == button


def test_a_table_sorts_by_numbers_with_gaps_last_and_back_to_its_own_order(opened):
    header = all_of(opened, ".table th[scope=col]")[1]
    orders = []
    for _ in range(3):
        header.find_element("css selector", "button").click()
        rows = [row.text for row in all_of(opened, ".table tbody th")]
        orders.append((header.get_attribute("aria-sort"), rows))
    assert orders == [
        ("ascending", ["row 9", "row 100", "row 28672", "row None"]),
        ("descending", ["row 28672", "row 100", "row 9", "row None"]),
        (None, ["row 9", "row 28672", "row None", "row 100"]),
    ]


def test_test_images_are_filtered_by_class_and_by_right_or_wrong(opened):
    def shown():
        return [tile.accessible_name for tile in all_of(opened, ".tiles [role=img]") if tile.is_displayed()]

    assert shown() == ["cat, predicted rightly", "cat, predicted rightly", "cat, predicted dog", "dog, predicted cat"]
    first(opened, ".filters [value=wrong]").click()
    assert shown() == ["cat, predicted dog", "dog, predicted cat"]
    first(opened, ".of option[value='0']").click()
    assert shown() == ["cat, predicted dog"]
    assert first(opened, ".filters [role=status]").text == "1 of 4 shown"
    first(opened, ".filters input[value=all]").click()
    first(opened, ".as option[value='0']").click()
    assert len(shown()) == 2
    first(opened, ".of option[value='1']").click()
    first(opened, ".filters [value=right]").click()
    assert shown() == []
    assert "choose another class" in first(opened, ".filters [role=status]").text


def test_without_javascript_everything_is_there_and_filters_work(result, folder, browser):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(write_report(result, folder).as_uri())
        assert not all_of(browser, "button, dialog")
        assert len(all_of(browser, "figure img")) == 2
        first(browser, ".filters [value=wrong]").click()
        assert [tile.is_displayed() for tile in all_of(browser, ".tiles li")] == [False, False, True, True]
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_axe_finds_nothing_serious_in_a_report_and_a_comparison(result, folder, browser):
    axe = pytest.importorskip("axe_core_python.selenium", reason="axe-core-python is needed").Axe()
    other = result.model_copy(update={"seed": 1, "smoke": True})
    comparison = folder / "comparison.html"
    paired = paired_table([result, other], ["a", "b"])
    comparison.write_text(render_comparison([result, other], ["a", "b"], paired), encoding="utf-8")

    def serious(scheme, page, *clicks, **options):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        browser.get(page.as_uri())
        for selector in clicks:
            first(browser, selector).click()
        violations = axe.run(browser, options=options)["violations"]
        return [(v["id"], v["nodes"][0]["html"]) for v in violations if v["impact"] in {"serious", "critical"}]

    report = write_report(result, folder)
    assert not serious("light", report)
    assert not serious("light", comparison, ".enlarge")
    assert not serious("dark", report, runOnly=["color-contrast"])


def test_a_page_asks_for_nothing_but_itself(opened):
    messages = [json.loads(entry["message"])["message"] for entry in opened.get_log("performance")]
    asked = {m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"}
    assert asked
    assert all(url.startswith(("file:", "data:")) for url in asked), asked
    assert not [entry for entry in opened.get_log("browser") if entry["level"] == "SEVERE"]


def test_hostile_texts_stay_texts_in_every_page_whatever_is_pressed(hostile_result, run_folder, browser):
    results, names = [hostile_result] * 2, [hostile_result.title, "b"]
    pages = {
        "comparison": render_comparison(results, names, paired_table(results, names)),
        "index": render_index(hostile_result.title, [Outcome("one", error=hostile_result.title)], run_folder),
    }
    addresses = [write_report(hostile_result, run_folder)]
    for name, page in pages.items():
        addresses.append(run_folder / f"{name}.html")
        addresses[-1].write_text(page, encoding="utf-8")
    for address in addresses:
        browser.get_log("browser")
        browser.get(address.as_uri())
        for button in all_of(browser, "th button, .enlarge"):
            browser.execute_script("arguments[0].click()", button)
        assert hostile_result.title in browser.title or hostile_result.title in first(browser, "body").text
        strange = "[onerror], [onclick], img[src=x], script ~ script"
        assert not all_of(browser, strange), address.name
        assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"], address.name


def test_a_page_scrolls_in_one_direction_on_a_telephone(opened):
    size = {"width": 360, "height": 700, "deviceScaleFactor": 1, "mobile": False}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        assert opened.execute_script("return document.documentElement.scrollWidth") <= 360
    finally:
        opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
