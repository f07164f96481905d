"""docs/cli.md says what the commands say."""

from tests.cli.page import PAGE, helps, written


def test_the_page_has_every_command_as_it_is() -> None:
    page = PAGE.read_text("utf-8")
    missing = [name for name, _ in helps() if f"\n### {name}\n" not in page]
    assert not missing
    # Versions of Python break lines in other places.
    assert written(page).split() == page.split(), "run: python -m tests.cli.page"
