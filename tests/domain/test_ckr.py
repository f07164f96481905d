"""Return values and what they mean."""

import pytest

from hsmgate.domain.ckr import Failure, ckr_name, classify


@pytest.mark.parametrize(
    ("ckr", "name", "failure"),
    [
        (0x20, "CKR_DATA_INVALID", Failure.REFUSED),
        (0x60, "CKR_KEY_HANDLE_INVALID", Failure.KEY_GONE),
        (0x68, "CKR_KEY_FUNCTION_NOT_PERMITTED", Failure.POLICY),
        (0x70, "CKR_MECHANISM_INVALID", Failure.UNSUPPORTED),
        (0xA0, "CKR_PIN_INCORRECT", Failure.PIN),
        (0xA4, "CKR_PIN_LOCKED", Failure.PIN),
        (0xB3, "CKR_SESSION_HANDLE_INVALID", Failure.SESSION_DEAD),
        (0x101, "CKR_USER_NOT_LOGGED_IN", Failure.LOGIN_LOST),
        (0xE0, "CKR_TOKEN_NOT_PRESENT", Failure.TOKEN_GONE),
        (0x190, "CKR_CRYPTOKI_NOT_INITIALIZED", Failure.LIBRARY_DEAD),
        (0x05, "CKR_GENERAL_ERROR", Failure.UNKNOWN),
        (0x80000001, "CKR 0x80000001", Failure.UNKNOWN),
    ],
)
def test_a_return_value_has_a_name_and_a_class(ckr: int, name: str, failure: Failure) -> None:
    assert (ckr_name(ckr), classify(ckr)) == (name, failure)
