"""Somebody in front of a browser of their own: Debian's Chromium without a window, driven by its chromedriver."""

import os
from pathlib import Path

from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By

from tests.helpers import until

SCREENSHOTS = Path(__file__).parents[2] / "build" / "browser"


class BrowserUser:
    """name: what they say their name is. width, height: of their screen, in CSS pixels."""

    def __init__(self, name: str, width: int, height: int) -> None:
        options = ChromeOptions()
        options.add_argument("--headless=new")
        options.add_argument("--disable-dev-shm-usage")
        if os.geteuid() == 0:
            options.add_argument("--no-sandbox")  # Chromium has none for root.
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.name = name
        self.driver = Chrome(options=options, service=ChromeService("/usr/bin/chromedriver"))
        self._screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}

    def close(self) -> None:
        self.driver.quit()

    def visit(self, url: str) -> None:
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", self._screen)
        self.driver.get(url)

    def close_tab(self) -> None:
        """Closes the tab for another one. (A page that is followed by another one is kept for the way back.)"""
        tab = self.driver.current_window_handle
        self.driver.switch_to.new_window("tab")
        other = self.driver.current_window_handle
        self.driver.switch_to.window(tab)
        self.driver.close()
        self.driver.switch_to.window(other)
        self.console_messages()

    def text(self, selector: str) -> str:
        """What can be read in the one place that the selector finds."""
        return self.driver.find_element(By.CSS_SELECTOR, selector).text

    def texts(self, selector: str) -> list[str]:
        """What is in each such place, in sight or scrolled out of it."""
        found = self.driver.find_elements(By.CSS_SELECTOR, selector)
        contents: list[str] = self.driver.execute_script("return arguments[0].map(one => one.textContent)", found)
        return contents

    def wait_for_text(self, selector: str, text: str) -> None:
        """Waits until `text` can be read there."""
        until(lambda: text in self.text(selector), f"{text!r} where {self.name} looks: {self.text(selector)!r}")

    def click(self, selector: str) -> None:
        self.driver.find_element(By.CSS_SELECTOR, selector).click()

    def type(self, selector: str, text: str) -> None:
        """Replaces what is in a field."""
        place = self.driver.find_element(By.CSS_SELECTOR, selector)
        place.clear()
        place.send_keys(text)

    def save_screenshot(self, name: str) -> None:
        """Keeps what is on the screen."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.driver.save_screenshot(str(SCREENSHOTS / f"{name}.png"))

    def console_messages(self) -> list[str]:
        """What the browser has written to its console since this was last asked for."""
        entries: list[dict[str, str]] = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        return [entry["message"] for entry in entries]

    def overflow_pixels(self) -> int:
        """Pixels of the page that are out of sight to the right."""
        return int(self.driver.execute_script("return document.documentElement.scrollWidth - innerWidth"))

    def control_sizes(self) -> dict[str, int]:
        """The lesser of width and height of each thing to press or to type into, in pixels."""
        found = self.driver.find_elements(By.CSS_SELECTOR, "button, input, header a")
        sizes = {f"{one.tag_name} {one.text or one.get_attribute('id')}": one.size for one in found}
        return {name: min(size["width"], size["height"]) for name, size in sizes.items()}
