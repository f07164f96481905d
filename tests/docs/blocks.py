"""The code blocks of README.md and docs/."""

from collections.abc import Iterator
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))


def blocks(page: Path) -> Iterator[tuple[int, str]]:
    """Each code block of a page: the number of its first line, and its text."""
    for token in MarkdownIt().parse(page.read_text("utf-8")):
        if token.type in ("code_block", "fence"):
            assert token.map is not None
            yield token.map[0] + 1, token.content
