"""HTML taken apart, to see what a browser would make of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = frozenset({"img", "br", "hr", "meta", "link", "input", "source", "wbr", "col"})


@dataclass
class Markup(HTMLParser):
    """Every element with its attributes, the text, and whether each end tag has its start."""

    elements: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    stray: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, text: str) -> Markup:
        made = cls()
        HTMLParser.__init__(made)
        made.feed(text)
        made.close()
        return made

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.open and self.open[-1] == tag:
            self.open.pop()
        else:
            self.stray.append(tag)

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("script", "style"):
            self.texts.append(data)

    @property
    def text(self) -> str:
        """All text, its white space as single spaces."""
        return " ".join("".join(self.texts).split())

    @property
    def is_balanced(self) -> bool:
        return not self.open and not self.stray

    @property
    def tags(self) -> list[str]:
        return [tag for tag, _ in self.elements]

    def attributes(self, name: str) -> list[str]:
        """The values of every attribute with this name."""
        return [attrs[name] for _, attrs in self.elements if name in attrs]

    @property
    def shape(self) -> list[tuple[str, tuple[str, ...]]]:
        """Elements and the names of their attributes, without any value."""
        return [(tag, tuple(sorted(attrs))) for tag, attrs in self.elements]
