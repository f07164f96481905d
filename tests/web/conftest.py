"""The one browser of the run."""

from collections.abc import Iterator

import pytest

from tests.web.browser import Browser, browsing


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with browsing() as one:
        yield one
