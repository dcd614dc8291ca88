import re
from html.parser import HTMLParser

import numpy as np
import pytest

from restore.inference.page import Comparison, Fact, Page, Row, Section, Table, Value, build_page, embed

NASTY = """<script>alert("1 & 2")</script> 'x'"""
VOID = {"meta", "link", "img", "input"}


class Document(HTMLParser):
    """Elements in order, with their attributes; end tags have to match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def all(self, tag: str, **attributes: str) -> list[dict[str, str]]:
        return [found for name, found in self.elements if name == tag and attributes.items() <= found.items()]


@pytest.fixture(scope="module")
def text() -> str:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (4, 24, 40, 3), dtype=np.uint8)
    before, after, other = (
        embed(label, one, suffix, ("20.00 dB", NASTY))
        for label, one, suffix in zip((NASTY, "restored", "clean"), pixels, (".jpg", ".webp", ".png"), strict=False)
    )
    grey = embed("grey", pixels[3, :, :, 0])
    sections = [
        Section(NASTY, [NASTY], [Comparison(NASTY, before, after, [other], NASTY)] * 2, ("PSNR", NASTY)),
        Section("plain", [], [Comparison("one", grey, grey)]),
    ]
    table = Table(NASTY, ("damage", NASTY), [Row(NASTY, [[Value("1 dB", best=True), Value(NASTY)]])])
    facts = [Fact(NASTY, [NASTY, "two"]), Fact("run", [NASTY], is_code=True)]
    return build_page(Page(NASTY, [NASTY], sections, table, facts, NASTY, NASTY))


@pytest.fixture(scope="module")
def document(text: str) -> Document:
    return Document(text)


def test_page_is_one_balanced_document(document: Document, text: str) -> None:
    assert text.startswith("<!DOCTYPE html>")
    for tag in ("html", "head", "title", "body", "main", "h1", "footer"):
        assert len(document.all(tag)) == 1
    ids = [attributes["id"] for _, attributes in document.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_page_refers_to_nothing_outside(document: Document, text: str) -> None:
    links = [
        found[name] for _, found in document.elements for name in ("src", "href", "srcset", "data") if name in found
    ]
    assert links
    assert all(link.startswith(("data:", "#part-")) for link in links)
    for forbidden in ("http:", "https:", "url(", "@import", "//www"):
        assert forbidden not in re.sub(r"base64,[^\"]*", "", text)
    (policy,) = document.all("meta", **{"http-equiv": "Content-Security-Policy"})
    assert policy["content"].startswith("default-src 'none'")
    targets = {attributes.get("id") for _, attributes in document.elements}
    assert all(link[1:] in targets for link in links if link.startswith("#"))


def test_every_text_is_escaped(document: Document, text: str) -> None:
    assert len(document.all("script")) == 1
    assert "<script>alert" not in text
    shown = "".join(document.texts)
    assert shown.count(NASTY) >= 12
    assert document.all("meta", name="generator", content=NASTY)
    assert any(NASTY in image["alt"] for image in document.all("img"))


def test_every_slider_and_choice_has_a_name(document: Document) -> None:
    sliders = document.all("input", type="range")
    assert len(sliders) == len(document.all("figure")) == 3
    assert all("divider between" in slider["aria-label"] for slider in sliders)
    assert all(image["alt"] for image in document.all("img"))
    radios = document.all("input", type="radio")
    assert len(radios) == 2 + 2 + 1
    groups = {radio["name"] for radio in radios}
    assert len(groups) == 3
    assert all(len(document.all("input", type="radio", name=group, checked="")) == 1 for group in groups)
    labels = sum(tag == "label" for tag, _ in document.elements)
    assert labels == len(radios)


def test_pictures_are_never_shown_larger_than_they_are(document: Document) -> None:
    assert all(image["width"] == "40" and image["height"] == "24" for image in document.all("img"))
    assert all(figure["style"] == "--width: 40px" for figure in document.all("figure"))


def test_only_one_picture_stands_right_of_the_divider(document: Document) -> None:
    layers = document.all("div", **{"class": "layer after"})
    assert ["hidden" in layer for layer in layers] == [False, True, False, True, False]


def test_a_page_without_summary_and_facts_has_no_empty_shells() -> None:
    grey = embed("grey", np.zeros((4, 4), np.uint8))
    document = Document(build_page(Page("t", [], [Section("s", [], [Comparison("c", grey, grey)])])))
    assert not document.all("dl")
    assert not document.all("table", **{"class": "summary"})
    assert not Document(build_page(Page("t", [], []))).all("nav")


def test_formats_that_browsers_do_not_show_are_refused() -> None:
    with pytest.raises(KeyError):
        embed("scan", np.zeros((4, 4), np.uint8), ".tif")
