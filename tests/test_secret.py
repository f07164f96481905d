"""A secret does not show itself."""

import copy
import json
import pickle

import msgspec
import pytest

from hsmgate.gateway.sobjects import SobjectRequest
from hsmgate.gateway.wire import Descriptor, Inline, SignItem, VerifyItem
from hsmgate.secret import Secret


def test_it_prints_as_stars() -> None:
    secret = Secret("s3cret")
    assert "s3cret" not in f"{secret} {secret!r} {[secret]} {secret:>10} %s" % secret
    assert f"{secret:>6}" == "  ****"
    assert secret.reveal() == "s3cret"


@pytest.mark.parametrize("carry", [pickle.dumps, copy.copy, copy.deepcopy, json.dumps, msgspec.json.encode])
def test_it_is_not_carried_away(carry: object) -> None:
    assert callable(carry)
    with pytest.raises(TypeError) as caught:
        carry(Secret("s3cret"))
    assert "s3cret" not in str(caught.value)


def test_it_is_equal_to_what_holds_the_same() -> None:
    assert Secret("ü") == Secret("ü") != Secret("u")
    assert Secret("1") != "1"
    with pytest.raises(TypeError):
        hash(Secret("1"))


def test_what_a_caller_sent_does_not_show_itself() -> None:
    brought = Descriptor(transient_key=b"s3cret", inline=Inline(b"s3cret", "RSA"))
    for sent in (
        brought,
        SignItem(brought, data=b"s3cret"),
        VerifyItem(hash=b"s3cret"),
        SobjectRequest(value=b"s3cret"),
    ):
        assert repr(sent) == f"{sent}" == f"{type(sent).__name__}(…)"
