"""One self-contained HTML page that compares pictures: a pure function from dataclasses to text.

Pictures are embedded, styles and script are inline, and a content security policy forbids everything else, so the file
can be mailed or archived. Without script, and on paper, the pictures of a comparison stand side by side.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
import numpy.typing as npt

from restore.images.codec import encode

__all__ = ["Comparison", "Fact", "Page", "Picture", "Row", "Section", "Table", "Value", "build_page", "embed"]


@dataclass(frozen=True)
class Picture:
    """An encoded picture.

    Attributes:
        label: What it is, in a word or two: `restored`.
        data: The file's bytes.
        media_type: Of those bytes: `image/webp`.
        width: In pixels; it is never shown larger.
        height: In pixels.
        scores: Texts under the section's `score_names`; may be empty.
    """

    label: str
    data: bytes
    media_type: str
    width: int
    height: int
    scores: Sequence[str] = ()


@dataclass(frozen=True)
class Comparison:
    """Two pictures of one size under a divider that can be moved.

    Attributes:
        title: Heading, and first part of the accessible names.
        before: Left of the divider.
        after: Right of the divider.
        others: What else can be chosen for the right.
        note: A line under the heading.
    """

    title: str
    before: Picture
    after: Picture
    others: Sequence[Picture] = ()
    note: str = ""


@dataclass(frozen=True)
class Section:
    """Comparisons that belong together, with an introduction and the names of their scores."""

    title: str
    paragraphs: Sequence[str]
    comparisons: Sequence[Comparison]
    score_names: Sequence[str] = ()


@dataclass(frozen=True)
class Value:
    """A text in a cell; the best of its row is bold, and prose may take several lines."""

    text: str
    best: bool = False
    prose: bool = False


@dataclass(frozen=True)
class Row:
    """A row's name and its cells, each of one or more values."""

    name: str
    cells: Sequence[Sequence[Value]]


@dataclass(frozen=True)
class Table:
    """A table; `columns` counts the column of names, and `caption` says what the numbers are."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Row]


@dataclass(frozen=True)
class Fact:
    """A term and what there is to say of it; `is_code` sets it as a command line."""

    term: str
    lines: Sequence[str]
    is_code: bool = False


@dataclass(frozen=True)
class Page:
    """A whole page.

    Attributes:
        title: Of the window, and the heading.
        lead: Paragraphs under the heading.
        table: The summary, if there is one.
        sections: Of comparisons.
        facts: How the page came about.
        footer: Last line.
        generator: What wrote it: `restore demo 0.1.0`.
    """

    title: str
    lead: Sequence[str]
    sections: Sequence[Section]
    table: Table | None = None
    facts: Sequence[Fact] = ()
    footer: str = ""
    generator: str = "restore"


def embed(label: str, pixels: npt.NDArray[np.uint8], suffix: str = ".webp", scores: Sequence[str] = ()) -> Picture:
    """Encode a picture for a page.

    Args:
        label: As in `Picture`.
        pixels: `(H, W)` or `(H, W, 3)` uint8.
        suffix: `.webp` (small, colour at half resolution), `.jpg` (colour at full resolution) or `.png` (exact).
        scores: As in `Picture`.

    Raises:
        KeyError: Browsers do not show that format.
    """
    height, width = pixels.shape[:2]
    return Picture(label, encode(pixels, suffix), _MEDIA_TYPES[suffix], width, height, scores)


def build_page(page: Page) -> str:
    """Write the page as HTML; every text is escaped.

    Args:
        page: What it shows.

    Returns:
        A document that refers to nothing outside itself.
    """
    links = "".join(
        f'<li><a href="#part-{index}">{escape(section.title)}</a></li>' for index, section in enumerate(page.sections)
    )
    body = [
        f"<header>\n<h1>{escape(page.title)}</h1>\n{_paragraphs(page.lead)}\n",
        f'<nav aria-label="Sections"><ul>{links}</ul></nav>\n' if links else "",
        "</header>\n<main>\n",
        _table(page.table) if page.table else "",
        *(_section(section, index) for index, section in enumerate(page.sections)),
        _facts(page.facts),
        f"</main>\n<footer><p>{escape(page.footer)}</p></footer>\n",
    ]
    style, side_by_side, script = (_asset(name) for name in ("page.css", "side_by_side.css", "page.js"))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="generator" content="{escape(page.generator)}">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<link rel="icon" href="data:,">\n'
        f"<title>{escape(page.title)}</title>\n<style>{style}@media print {{{side_by_side}}}</style>\n"
        f"<noscript><style>{side_by_side}</style></noscript>\n</head>\n<body>\n"
        f"{''.join(body)}<script>{script}</script>\n</body>\n</html>\n"
    )


def _section(section: Section, index: int) -> str:
    figures = "".join(
        _comparison(comparison, section, f"c{index}-{number}") for number, comparison in enumerate(section.comparisons)
    )
    return (
        f'<section id="part-{index}" aria-labelledby="part-{index}-title">\n'
        f'<h2 id="part-{index}-title">{escape(section.title)}</h2>\n{_paragraphs(section.paragraphs)}\n'
        f'<div class="comparisons">\n{figures}</div>\n</section>\n'
    )


def _comparison(comparison: Comparison, section: Section, key: str) -> str:
    after = (comparison.after, *comparison.others)
    name = f"{section.title}, {comparison.title}"
    label = f"{name}: divider between {comparison.before.label} and {comparison.after.label}"
    layers = _layer(comparison.before, name, "before") + "".join(
        _layer(picture, name, "after", hidden=position > 0) for position, picture in enumerate(after)
    )
    heads = "".join(f'<th scope="col">{escape(score)}</th>' for score in section.score_names)
    rows = _score_row(comparison.before, f'<span class="side">{escape(comparison.before.label)}</span>')
    for position, picture in enumerate(after):
        checked = "" if position else " checked"
        button = f'<input type="radio" name="{key}" value="{position}"{checked}>'
        rows += _score_row(picture, f"<label>{button}{escape(picture.label)}</label>")
    note = f"<p>{escape(comparison.note)}</p>" if comparison.note else ""
    return (
        f'<figure style="--width: {comparison.before.width}px">\n'
        f"<figcaption><h3>{escape(comparison.title)}</h3>{note}</figcaption>\n"
        f'<div class="stack">{layers}<span class="handle" aria-hidden="true"></span>'
        f'<input type="range" min="0" max="100" step="any" value="50" autocomplete="off" aria-label="{escape(label)}">'
        f'</div>\n<table class="scores"><caption class="unseen">{escape(name)}: what is shown, and its scores</caption>'
        f'<thead><tr><th scope="col">picture</th>{heads}</tr></thead><tbody>{rows}</tbody></table>\n</figure>\n'
    )


def _layer(picture: Picture, name: str, side: str, hidden: bool = False) -> str:
    source = f"data:{escape(picture.media_type)};base64,{base64.b64encode(picture.data).decode('ascii')}"
    return (
        f'<div class="layer {side}"{" hidden" if hidden else ""}>'
        f'<img src="{source}" width="{picture.width}" height="{picture.height}" '
        f'alt="{escape(f"{name}, {picture.label}")}"><span class="tag">{escape(picture.label)}</span></div>'
    )


def _score_row(picture: Picture, head: str) -> str:
    cells = "".join(f"<td>{escape(score)}</td>" for score in picture.scores)
    return f'<tr><th scope="row">{head}</th>{cells}</tr>'


def _table(table: Table) -> str:
    heads = "".join(f'<th scope="col">{escape(column)}</th>' for column in table.columns)
    rows = "".join(
        f'<tr><th scope="row">{escape(row.name)}</th>'
        + "".join(f"<td>{' '.join(_value(value) for value in cell)}</td>" for cell in row.cells)
        + "</tr>\n"
        for row in table.rows
    )
    return (
        '<div class="scroll" role="region" aria-label="Summary" tabindex="0"><table class="summary">\n'
        f"<caption>{escape(table.caption)}</caption>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}</tbody>\n"
        "</table></div>\n"
    )


def _value(value: Value) -> str:
    tag = "b" if value.best else "span"
    return f"<{tag}{' class=prose' if value.prose else ''}>{escape(value.text)}</{tag}>"


def _facts(facts: Sequence[Fact]) -> str:
    if not facts:
        return ""
    items = "".join(
        f"<dt>{escape(fact.term)}</dt>"
        + "".join(f"<dd>{f'<code>{escape(line)}</code>' if fact.is_code else escape(line)}</dd>" for line in fact.lines)
        + "\n"
        for fact in facts
    )
    return f'<section aria-labelledby="facts"><h2 id="facts">How this was made</h2>\n<dl>\n{items}</dl></section>\n'


def _paragraphs(texts: Sequence[str]) -> str:
    return "\n".join(f"<p>{escape(text)}</p>" for text in texts)


_MEDIA_TYPES = {".jpg": "image/jpeg", ".png": "image/png", ".webp": "image/webp"}

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def _asset(name: str) -> str:
    return (Path(__file__).parent / "page_assets" / name).read_text(encoding="utf-8")
