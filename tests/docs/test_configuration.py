"""docs/configuration.md says what the config's models say."""

from tests.docs.configuration import PAGE, sections, tables_of, with_tables


def test_every_key_says_what_it_means() -> None:
    silent = [
        f"{name}.{key}"
        for name, section in sections().items()
        for key, field in section.model_fields.items()
        if not field.description
    ]
    assert not silent, "a text below the key, in hsmgate/config, says what it means"


def test_every_section_has_its_table() -> None:
    assert sorted(tables_of(PAGE.read_text("utf-8"))) == sorted(sections())


def test_the_tables_are_those_of_the_models() -> None:
    page = PAGE.read_text("utf-8")
    assert with_tables(page) == page, "write them by: .venv/bin/python -m tests.docs.configuration"
