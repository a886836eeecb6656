"""The page in a real browser: boxes drawn with the mouse, exemplars picked, maps switched off, nobody else asked."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from dcgan_analysis.annotations import read_boxes, read_exemplars
from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.errors import DcganAnalysisError
from dcgan_analysis.models.tables import dcgan32

pytest.importorskip("nicegui", reason="the extra 'annotate' is needed")
PATIENCE = 60


WORDS = ["annotate", "--checkpoint", "tiny.safetensors", "--folder", "a", "--n", "6", "--port", "0", "--no-browser"]


@pytest.fixture
def serve(tmp_path):
    """Return a function that starts ``dcgan-analyze annotate``, and returns the process and its address."""
    Checkpoint.random(dcgan32(width=4), seed=0).save(tmp_path / "tiny.safetensors")
    processes = []

    def serve():
        process = subprocess.Popen(
            [sys.executable, "-m", "dcgan_analysis.cli.main", *WORDS],
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process, process.stderr.readline().split()[0]

    yield serve
    for process in processes:
        process.kill()
        process.wait()
        process.stderr.close()


@pytest.fixture
def page(serve, tmp_path):
    """A running ``dcgan-analyze annotate``: process, address, folder of the annotations."""
    return *serve(), tmp_path / "a"


def until(condition):
    """Wait for a condition and return its value; elements may come and go meanwhile."""
    from selenium.common.exceptions import WebDriverException

    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            if value := condition():
                return value
        except (WebDriverException, DcganAnalysisError, OSError, IndexError):
            pass
        time.sleep(0.05)
    pytest.fail(f"waited {PATIENCE} seconds in vain")


@pytest.mark.slow
def test_what_a_person_does_in_the_page_is_saved_and_asks_nobody_else(page, browser):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    process, address, folder = page

    def find(selector, number=0):
        return until(lambda: browser.find_elements(By.CSS_SELECTOR, selector)[number])

    def open_tab(name):
        next(tab for tab in browser.find_elements(By.CSS_SELECTOR, ".q-tab") if name in tab.text).click()

    # What a test before this one asked its own server stands in the same logs.
    browser.get("about:blank")
    for log in ("performance", "browser"):
        browser.get_log(log)
    browser.get(address)
    find("[data-test=canvas] img[src^=data]")
    find("input[data-test=name]").send_keys("window", Keys.ENTER)
    until(lambda: "Looked at: 0 of 6" in find("[data-test=progress]").text)
    area = find("[data-test=canvas] svg")
    pixel = area.size["width"] / 32
    # From the middle of the picture, pixel 16, by 8 pixels to the left and 6 down.
    drag = ActionChains(browser).move_to_element(area).click_and_hold().move_by_offset(-round(4 * pixel), round(pixel))
    drag.move_by_offset(-round(4 * pixel), round(5 * pixel)).release().perform()
    boxes = folder / "boxes-window.json"
    assert until(lambda: read_boxes(boxes).by_sample()) == {0: [(8, 16, 8, 6)]}
    ActionChains(browser).send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT).perform()
    until(lambda: read_boxes(boxes).done == [0, 1])
    ActionChains(browser).send_keys(Keys.ARROW_LEFT, Keys.ARROW_LEFT, Keys.DELETE).perform()
    until(lambda: not read_boxes(boxes).boxes)
    ActionChains(browser).send_keys("u").perform()
    until(lambda: len(read_boxes(boxes).boxes) == 1)

    open_tab("Exemplars")
    find("input[data-test=concept]").send_keys("smiling", Keys.ENTER)
    exemplars = folder / "exemplars.json"
    until(lambda: "smiling" in read_exemplars(exemplars).concepts)
    find(".exemplars .card:nth-child(2) .thumb", 5).click()
    assert until(lambda: read_exemplars(exemplars).concepts["smiling"]) == [5]

    open_tab("Explore")
    until(lambda: find("[data-test=image]").get_attribute("src").startswith("data:"))
    before = find("[data-test=image]").get_attribute("src")
    assert find("[data-test=whole]").get_attribute("src") == before
    find(".maps .thumb", 1).click()
    until(lambda: find("[data-test=image]").get_attribute("src") != before)
    ActionChains(browser).move_to_element(find("[data-test=walk]")).click().perform()
    until(lambda: find("[data-test=whole]").get_attribute("src") != before)

    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = {m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"}
    # What leaves the browser: data, blobs and its own first page do not.
    sent = {url for url in asked if url.startswith(("http", "ws"))}
    assert all(url.startswith(address.partition("?")[0]) for url in sent), sent
    assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]

    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=PATIENCE)
    assert (process.returncode, said) == (0, "Stopped. Everything is saved in a\n")


@pytest.mark.slow
def test_nothing_is_lost_when_the_browser_goes_and_the_server_is_killed(page, serve, browser):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    def find(selector):
        return until(lambda: browser.find_element(By.CSS_SELECTOR, selector))

    process, address, folder = page
    browser.get(address)
    find("[data-test=canvas] img[src^=data]")
    find("input[data-test=name]").send_keys("window", Keys.ENTER)
    until(lambda: "Looked at: 0 of 6" in find("[data-test=progress]").text)
    drag = ActionChains(browser).move_to_element(find("[data-test=canvas] svg")).click_and_hold()
    drag.move_by_offset(-40, 30).release().perform()
    browser.get("about:blank")
    drawn = until(lambda: read_boxes(folder / "boxes-window.json").by_sample())
    process.send_signal(signal.SIGKILL)
    process.communicate()

    again, address = serve()
    browser.get(address)
    find("[data-test=canvas] img[src^=data]")
    until(lambda: "Looked at: 1 of 6" in find("[data-test=progress]").text)
    assert read_boxes(folder / "boxes-window.json").by_sample() == drawn
    again.send_signal(signal.SIGTERM)
    again.communicate(timeout=PATIENCE)
    assert [path.name for path in folder.iterdir()] == ["boxes-window.json"]
