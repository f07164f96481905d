"""What values of several sections look like."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

Verification = Literal["always", "first"]
LogLevel = Literal["debug", "info", "warning", "error"]

_UNITS = {"": 1, "B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
MIB = _UNITS["MiB"]


def _size(value: object) -> object:
    if isinstance(value, str):
        match = re.fullmatch(r"\s*(\d+)\s*([KMG]iB|B?)\s*", value)
        if not match:
            raise ValueError("write it like 16MiB (B, KiB, MiB, GiB)")
        return int(match[1]) * _UNITS[match[2]]
    return value


def check_listen(value: str) -> str:
    """An address to listen on. Raises ValueError."""
    if value.startswith("unix:"):
        if len(value) == len("unix:"):
            raise ValueError("unix: wants a path")
        return value
    host, colon, port = value.rpartition(":")
    if not (colon and host and port.isascii() and port.isdigit() and int(port) < 65536):
        raise ValueError("write it like 127.0.0.1:8080, [::1]:8080 or unix:/run/hsmgate.sock")
    return value


Text = Annotated[str, StringConstraints(min_length=1, pattern=r"^[^\x00]*$")]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
Listen = Annotated[str, AfterValidator(check_listen)]
Seconds = Annotated[float, Field(gt=0, le=86400, allow_inf_nan=False)]
Size = BeforeValidator(_size)  # bytes, as a number or as a text with a unit


class Section(BaseModel):
    """A table of the file. What stands below a key is its description."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, hide_input_in_errors=True, use_attribute_docstrings=True
    )
