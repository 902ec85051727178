"""A page as data, and its two forms: Markdown and HTML. Both escape every text, so nothing from outside is markup."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec


class Code(str):
    """A name or value that people copy."""


class Link(str):
    """An address; shown as text where it is not a plain http one."""


Inline = str | tuple[str, ...]  # of plain texts, `Code` and `Link`


class Text(msgspec.Struct, frozen=True):
    """A paragraph."""

    text: Inline


class Fields(msgspec.Struct, frozen=True):
    """Label and value, one a line."""

    rows: tuple[tuple[str, Inline], ...]


class Bullets(msgspec.Struct, frozen=True):
    """A list; ``title`` stands above it."""

    items: tuple[Inline, ...]
    title: str = ""


class Table(msgspec.Struct, frozen=True):
    """Rows below a head."""

    head: tuple[str, ...]
    rows: tuple[tuple[Inline, ...], ...]


class Log(msgspec.Struct, frozen=True):
    """Lines as a program wrote them."""

    title: str
    lines: tuple[str, ...]


Block = Text | Fields | Bullets | Table | Log


class Section(msgspec.Struct, frozen=True):
    title: str
    blocks: tuple[Block, ...]


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """One record. ``state`` is good, bad or still; ``label`` says it in a word, ``lead`` in a sentence."""

    language: str
    title: str
    state: str
    label: str
    lead: str
    head: Fields
    sections: tuple[Section, ...]


_HTTP: Final = re.compile(r"https?://[A-Za-z0-9._~:/?#@!$&'()*+,;=%\[\]-]+")
_FIGURE: Final = re.compile(r"[\d][\d :.+-]*(?: UTC)?")
_STARTS: Final = re.compile(r"^(\s*)(?=[#>+~=-]|\d+[.)])")
_SPECIAL: Final = re.compile(r"[\\`*\[\]|]|~~|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|\$(?=\S)")


def is_http(address: str) -> bool:
    """Whether it is an address that may be followed: http and nothing that could end it early."""
    return _HTTP.fullmatch(address) is not None


def _parts(inline: Inline) -> tuple[str, ...]:
    return inline if isinstance(inline, tuple) else (inline,)


# Markdown


def markdown(page: Page) -> str:
    """The page for a wiki, an issue or a terminal."""
    return "\n".join(_markdown(page)) + "\n"


def _markdown(page: Page) -> Iterator[str]:
    yield f"# {_md(page.title)}"
    yield ""
    yield f"**{_md(page.label)}.** {_md(page.lead)}"
    yield ""
    yield from _md_block(page.head)
    for section in page.sections:
        yield ""
        yield f"## {_md(section.title)}"
        for block in section.blocks:
            yield ""
            yield from _md_block(block)


def _md_block(block: Block) -> Iterator[str]:
    match block:
        case Text(text):
            yield _md_line(text)
        case Fields(rows):
            yield from (
                f"- {_md(label)}{'' if label.endswith('?') else ':'} {_md_inline(value)}" for label, value in rows
            )
        case Bullets(items, title):
            if title:
                yield f"### {_md(title)}"
                yield ""
            yield from (f"- {_md_line(item)}" for item in items)
        case Table(head, rows):
            yield f"| {' | '.join(map(_md, head))} |"
            yield "|" + "---|" * len(head)
            yield from (f"| {' | '.join(map(_md_inline, row))} |" for row in rows)
        case Log(title, lines):
            yield f"{_md(title)}:"
            yield ""
            fence = _fence("\n".join(lines), 3)
            yield f"{fence}text"
            yield from ("\n".join(_one_line(line) for line in lines).split("\n"))
            yield fence


def _md_line(inline: Inline) -> str:
    """A whole line of its own, so its start must not make it a heading, a quote or a list."""
    return _STARTS.sub(r"\1\\", _md_inline(inline))


def _md_inline(inline: Inline) -> str:
    return " ".join(filter(None, map(_md_part, _parts(inline))))


def _md_part(part: str) -> str:
    text = _one_line(part)
    if isinstance(part, Code) and text:
        fence = _fence(text, 1)
        space = " " if "`" in text else ""
        return f"{fence}{space}{text}{space}{fence}".replace("|", "\\|")
    if isinstance(part, Link) and is_http(text):
        return f"<{text}>".replace("|", "%7C")
    return _md(text)


def _md(text: str) -> str:
    text = _one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace("&amp; ", "& ")
    return _SPECIAL.sub(lambda m: f"\\{m[0]}", text)


def _fence(text: str, least: int) -> str:
    return "`" * max(least, 1 + max((len(run) for run in re.findall(r"`+", text)), default=0))


def _one_line(text: str) -> str:
    return " ".join(str(text).split())


# HTML

STYLES: Final = "report.css"  # beside the page: Jenkins shows no style from within (its Content-Security-Policy)


def as_html(page: Page) -> str:
    """The page for a browser and for paper: no script, no style of its own, nothing from elsewhere."""
    return "\n".join(_html(page)) + "\n"


def _html(page: Page) -> Iterator[str]:
    yield f'<!doctype html>\n<html lang="{_e(page.language)}">\n<head>\n<meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f'<title>{_e(page.title)}</title>\n<link rel="stylesheet" href="{STYLES}">\n</head>\n<body>\n<header>'
    yield f'<p class="state {_e(page.state)}">{_e(page.label)}</p>\n<h1>{_e(page.title)}</h1>'
    yield f'<p class="lead">{_e(page.lead)}</p>\n</header>\n<main>'
    yield from _html_block(page.head)
    for section in page.sections:
        yield f"<section>\n<h2>{_e(section.title)}</h2>"
        for block in section.blocks:
            yield from _html_block(block)
        yield "</section>"
    yield "</main>\n</body>\n</html>"


def _html_block(block: Block) -> Iterator[str]:
    match block:
        case Text(text):
            yield f"<p>{_html_inline(text)}</p>"
        case Fields(rows):
            yield "<dl>"
            yield from (f"<dt>{_e(label)}</dt><dd>{_html_inline(value)}</dd>" for label, value in rows)
            yield "</dl>"
        case Bullets(items, title):
            if title:
                yield f"<h3>{_e(title)}</h3>"
            yield "<ul>"
            yield from (f"<li>{_html_inline(item)}</li>" for item in items)
            yield "</ul>"
        case Table(head, rows):
            yield '<div class="table"><table>'
            yield f"<thead><tr>{''.join(f'<th>{_e(h)}</th>' for h in head)}</tr></thead>\n<tbody>"
            yield from (f"<tr>{''.join(_cell(_html_inline(c)) for c in row)}</tr>" for row in rows)
            yield "</tbody></table></div>"
        case Log(title, lines):
            yield f"<h3>{_e(title)}</h3>"
            yield f"<pre>{_e(_lines(lines))}</pre>"


def _cell(text: str) -> str:
    """A cell; a time or a number stays on one line."""
    return f'<td class="figure">{text}</td>' if _FIGURE.fullmatch(text) else f"<td>{text}</td>"


def _html_inline(inline: Inline) -> str:
    return " ".join(filter(None, map(_html_part, _parts(inline))))


def _html_part(part: str) -> str:
    if isinstance(part, Code) and part:
        return f"<code>{_e(part)}</code>"
    if isinstance(part, Link) and is_http(part):
        return f'<a href="{_e(part)}" rel="noreferrer">{_e(part)}</a>'
    return _e(part)


def _lines(lines: Sequence[str]) -> str:
    return "\n".join(lines)


def _e(text: str) -> str:
    return html.escape(str(text), quote=True)
