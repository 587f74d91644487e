"""A user of a browser: Debian's Chromium without a window, driven by its chromedriver."""

import os
from pathlib import Path

from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By

from tests.helpers import until

SCREENSHOTS = Path(__file__).parents[2] / "build" / "browser"


class BrowserUser:
    """A user with a browser. name: their name in a chat. width, height: of their screen, in CSS pixels."""

    def __init__(self, name: str, width: int, height: int) -> None:
        options = ChromeOptions()
        options.add_argument("--headless=new")
        options.add_argument("--disable-dev-shm-usage")
        if os.geteuid() == 0:
            options.add_argument("--no-sandbox")  # Chromium has none for root.
        # The certificate for development is one that no client trusts.
        options.add_argument("--ignore-certificate-errors")
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
        """Closes the tab for another one. (A page that is followed by another one stays loaded.)"""
        tab = self.driver.current_window_handle
        self.driver.switch_to.new_window("tab")
        other = self.driver.current_window_handle
        self.driver.switch_to.window(tab)
        self.driver.close()
        self.driver.switch_to.window(other)
        self.console_messages()

    def text(self, selector: str) -> str:
        """Returns the visible text of the one element that matches the selector."""
        return self.driver.find_element(By.CSS_SELECTOR, selector).text

    def texts(self, selector: str) -> list[str]:
        """Returns the text of each element that matches, visible or scrolled out of sight."""
        found = self.driver.find_elements(By.CSS_SELECTOR, selector)
        contents: list[str] = self.driver.execute_script("return arguments[0].map(one => one.textContent)", found)
        return contents

    def wait_for_text(self, selector: str, text: str) -> None:
        """Waits until the element shows `text`."""
        until(lambda: text in self.text(selector), f"{text!r} on the page of {self.name}: {self.text(selector)!r}")

    def click(self, selector: str) -> None:
        self.driver.find_element(By.CSS_SELECTOR, selector).click()

    def type(self, selector: str, text: str) -> None:
        """Replaces the text of an input field."""
        place = self.driver.find_element(By.CSS_SELECTOR, selector)
        place.clear()
        place.send_keys(text)

    def save_screenshot(self, name: str) -> None:
        """Saves a screenshot in build/browser."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.driver.save_screenshot(str(SCREENSHOTS / f"{name}.png"))

    def console_messages(self) -> list[str]:
        """Returns the browser's console messages since the last call."""
        entries: list[dict[str, str]] = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        return [entry["message"] for entry in entries]

    def overflow_pixels(self) -> int:
        """Returns the pixels by which the page is wider than the screen."""
        return int(self.driver.execute_script("return document.documentElement.scrollWidth - innerWidth"))

    def control_sizes(self) -> dict[str, int]:
        """Returns the smaller of width and height of each control, in pixels."""
        found = self.driver.find_elements(By.CSS_SELECTOR, "button, input, header a")
        sizes = {f"{one.tag_name} {one.text or one.get_attribute('id')}": one.size for one in found}
        return {name: min(size["width"], size["height"]) for name, size in sizes.items()}
