"""A real browser: Debian's Chromium, headless, and what it asked for and complained of."""

import base64
import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

WAIT_SECONDS = 30

T = TypeVar("T")

_QUIET = (
    "--headless=new",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-gpu",
    "--disable-sync",
    "--hide-scrollbars",
    "--no-default-browser-check",
    "--no-first-run",
)


class Browser:
    """One window. What it logged is taken, and gone, with `requests` and `complaints`."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self._driver = driver

    def open(self, url: str) -> None:
        """Load a page, in a size that is a desk's, with nothing logged of the one before."""
        self.cdp("Emulation.clearDeviceMetricsOverride")
        self._driver.get("about:blank")
        self.requests()
        self.complaints()
        self._driver.get(url)

    def find(self, css: str) -> WebElement:
        """The first that matches, waited for until it is to be seen."""
        return self.wait(lambda: next((one for one in self.all(css) if one.is_displayed()), None), css)

    def all(self, css: str) -> list[WebElement]:
        return self._driver.find_elements(By.CSS_SELECTOR, css)

    def wait(self, look: Callable[[], T | None], what: str) -> T:
        """What `look` gives as soon as it is something; what it looks at may be drawn anew meanwhile."""
        waiting = WebDriverWait(self._driver, WAIT_SECONDS, 0.05, (StaleElementReferenceException,))
        return cast("T", waiting.until(lambda _: look(), what))

    def run(self, script: str, *arguments: Any) -> Any:
        """What the script returns, in the page."""
        return self._driver.execute_script(script, *arguments)

    def answer(self, *, yes: bool) -> str:
        """Answer the question that a page asks before it goes on; what it was."""
        question = self._driver.switch_to.alert
        text: str = question.text
        if yes:
            question.accept()
        else:
            question.dismiss()
        return text

    def cdp(self, command: str, **parameters: Any) -> dict[str, Any]:
        """A command of the DevTools protocol."""
        answer: dict[str, Any] = self._driver.execute_cdp_cmd(command, parameters)
        return answer

    def requests(self) -> list[dict[str, Any]]:
        """What it sent, or meant to, since the last look: the DevTools' Network.requestWillBeSent."""
        messages = [json.loads(entry["message"])["message"] for entry in self._log("performance")]
        return [m["params"]["request"] for m in messages if m["method"] == "Network.requestWillBeSent"]

    def complaints(self) -> list[str]:
        """Warnings and errors in the console since the last look: refusals by the page's policy, failed loads."""
        log = self._log("browser")
        return [entry["message"] for entry in log if entry["level"] in ("WARNING", "SEVERE")]

    def _log(self, kind: str) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = self._driver.get_log(kind)  # type: ignore[no-untyped-call]
        return entries

    def picture(self, file: Path, width: int, height: int, *, scale: float = 1, dark: bool = False) -> None:
        """A PNG of the page, so many CSS pixels large."""
        self.cdp(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=width < 600,
        )
        self.prefer(dark=dark)
        file.write_bytes(base64.b64decode(self.cdp("Page.captureScreenshot", format="png")["data"]))

    def prefer(self, *, dark: bool = False, reduced_motion: bool = False) -> None:
        """What the system would say of its user."""
        features = [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce" if reduced_motion else "no-preference"},
        ]
        self.cdp("Emulation.setEmulatedMedia", features=features)


@contextlib.contextmanager
def browsing() -> Iterator[Browser]:
    """A browser, ended afterwards."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in (*_QUIET, *(("--no-sandbox",) if os.geteuid() == 0 else ())):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        driver.set_window_size(1200, 900)
        yield Browser(driver)
    finally:
        driver.quit()
