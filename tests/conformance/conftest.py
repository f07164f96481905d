"""A sample of the matrix, run once for all that is claimed of it."""

import os

import pytest
import pytest_asyncio

from tests.conformance.results import Results
from tests.conformance.run import SAMPLE, run_matrix
from tests.conformance.tokens import NSS_KEYS, SOFTHSM_KEYS, Token, TokenNotMade, make_nss, make_softhsm


@pytest.fixture(scope="session")
def softhsm(tmp_path_factory: pytest.TempPathFactory) -> Token:
    titles = {title: label for title, label in SOFTHSM_KEYS.items() if title in SAMPLE}
    return make_softhsm(tmp_path_factory.mktemp("conformance") / "softhsm", titles)


@pytest.fixture(scope="session")
def nss(tmp_path_factory: pytest.TempPathFactory) -> Token:
    titles = {title: label for title, label in NSS_KEYS.items() if title in SAMPLE}
    try:
        return make_nss(tmp_path_factory.mktemp("conformance") / "nss", titles)
    except TokenNotMade as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no NSS that is new enough can be had here: {error}")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def on_softhsm(softhsm: Token) -> Results:
    return await run_matrix([softhsm], sample=True)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def on_nss(nss: Token) -> Results:
    return await run_matrix([nss], sample=True)
