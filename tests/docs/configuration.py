"""Write the tables of docs/configuration.md: `python -m tests.docs.configuration`.

A table stands between `<!-- keys of SECTION -->` and `<!-- end -->`, and has a row for each key of the section's class
in `hsmgate/config`: the key, its default and what stands below it there. What is around the tables is written by hand.
"""

import json
import re
import typing
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from hsmgate.config import Config
from hsmgate.config.words import MIB, Size

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"

_TABLE = re.compile(r"(?<=<!-- keys of )(?P<section>\w+) -->\n.*?(?=<!-- end -->)", re.DOTALL)


def main() -> None:
    """Write the page."""
    PAGE.write_text(with_tables(PAGE.read_text("utf-8")), "utf-8")


def with_tables(page: str) -> str:
    """The page with its tables as they should be. Raises KeyError for a table of a section that is none."""
    tables = {name: _table(section) for name, section in sections().items()}
    return _TABLE.sub(lambda found: f"{found['section']} -->\n{tables[found['section']]}", page)


def sections() -> dict[str, type[BaseModel]]:
    """The sections of the config by their names."""
    return {name: _section(field.annotation) for name, field in Config.model_fields.items()}


def tables_of(page: str) -> list[str]:
    """The sections that the page has tables of, in its order."""
    return [found["section"] for found in _TABLE.finditer(page)]


def _section(annotation: object) -> type[BaseModel]:
    """The one class in `Section`, `Section | None`, `list[Section]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    (section,) = (part for part in typing.get_args(annotation) if part is not type(None))
    return _section(section)


def _table(section: type[BaseModel]) -> str:
    return "".join(f"{line}\n" for line in _lines(section))


def _lines(section: type[BaseModel]) -> Iterator[str]:
    yield "| key | default | meaning |"
    yield "|---|---|---|"
    for key, field in section.model_fields.items():
        meaning = " ".join((field.description or "").split()).replace("|", r"\|")
        yield f"| `{key}` | {_default(field)} | {meaning} |"


def _default(field: FieldInfo) -> str:
    """As the file would say it."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value in (None, ()):
        return "not set"
    if Size in field.metadata:
        value = f"{value // MIB}MiB"
    return f"`{json.dumps(value, ensure_ascii=False)}`"


if __name__ == "__main__":
    main()
