"""Typeset a text as a flat OpenDocument text, for LibreOffice."""

from __future__ import annotations

from html import escape
from itertools import count

from texts import NOTE, RIGHT_TO_LEFT, TABLES, Block, Text, split_field

NAMES = " ".join(
    f'xmlns:{prefix}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
    for prefix, name in {
        "office": "office",
        "style": "style",
        "text": "text",
        "table": "table",
        "draw": "drawing",
        "fo": "xsl-fo-compatible",
        "svg": "svg-compatible",
    }.items()
)
COUNTRIES = {
    "en": "GB",
    "de": "DE",
    "fr": "FR",
    "es": "ES",
    "pl": "PL",
    "it": "IT",
    "ru": "RU",
    "el": "GR",
    "ar": "EG",
    "fa": "IR",
    "he": "IL",
    "hi": "IN",
    "ta": "IN",
    "bn": "BD",
    "th": "TH",
    "zh": "CN",
    "ja": "JP",
    "ko": "KR",
}
BORDERS = {"ruled": ("all", "all"), "booktabs": ("ends", "foot"), "unruled": ("none", "none")}


def typeset(text: Text, families: list[str]) -> str:
    """Return a text as flat OpenDocument."""
    notes = count(1)
    frames = count(1)
    body: list[str] = []
    waiting: list[str] = []  # sidebars, for the next paragraph to anchor
    for block in text.blocks:
        if block.kind == "sidebar":
            waiting.append(typeset_frame(block, next(frames)))
            continue
        shown = typeset_block(block, notes, text.language)
        if waiting and block.kind == "paragraph":
            shown = shown.replace(">", f">{''.join(waiting)}", 1)
            waiting.clear()
        body.append(shown)
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><office:document {NAMES} office:version="1.2" '
        'office:mimetype="application/vnd.oasis.opendocument.text">'
        f"{styles(text, families)}<office:body><office:text>{''.join(body)}</office:text>"
        "</office:body></office:document>"
    )


def styles(text: Text, families: list[str]) -> str:
    """Return the styles of a document."""
    country = COUNTRIES[text.language]
    right_to_left = text.language in RIGHT_TO_LEFT
    mode = "rl-tb" if right_to_left else "lr-tb"
    hyphenate = str(text.hyphenate).lower()
    align = "justify" if text.hyphenate else "start"
    language = " ".join(
        f'{prefix}:language{suffix}="{text.language}" {prefix}:country{suffix}="{country}"'
        for prefix, suffix in (("fo", ""), ("style", "-asian"), ("style", "-complex"))
    )
    own, latin = families[0], families[-1]
    sizes = 'fo:font-size="{0}pt" style:font-size-asian="{0}pt" style:font-size-complex="{0}pt"'
    faces = "".join(
        f'<style:font-face style:name="{name}" svg:font-family="&apos;{name}&apos;"/>'
        for name in dict.fromkeys(families)
    )
    western = own if text.script in {"Latin", "Cyrillic", "Greek"} else latin
    cells = "".join(
        f'<style:style style:name="{name}" style:family="table-cell"><style:table-cell-properties '
        f'fo:padding="0.12cm" {border}/></style:style>'
        for name, border in {
            "all": 'fo:border="0.5pt solid #333333"',
            "ends": 'fo:border-top="1.2pt solid #000000" fo:border-bottom="0.6pt solid #000000"',
            "foot": 'fo:border-bottom="1.2pt solid #000000"',
            "none": 'fo:border="none"',
        }.items()
    )
    paragraphs = "".join(
        paragraph_style(*style)
        for style in (
            ("P", f'fo:text-align="{align}" fo:margin-bottom="0.2cm"', ""),
            ("Cell", 'fo:text-align="start"', ""),
            ("Small", "", sizes.format(8)),
            ("H1", 'fo:text-align="start" fo:margin-bottom="0.4cm"', sizes.format(19)),
            (
                "H2",
                'fo:text-align="start" fo:margin-top="0.4cm" fo:margin-bottom="0.2cm"',
                sizes.format(13),
            ),
        )
    )
    return (
        f"<office:font-face-decls>{faces}</office:font-face-decls><office:styles>"
        f'<style:default-style style:family="paragraph"><style:paragraph-properties '
        f'style:writing-mode="{mode}"/><style:text-properties style:font-name="{western}" '
        f'style:font-name-asian="{own}" style:font-name-complex="{own}" {sizes.format(10.5)} '
        f'{language} fo:hyphenate="{hyphenate}" fo:hyphenation-remain-char-count="2" '
        'fo:hyphenation-push-char-count="2"/></style:default-style>'
        f"{paragraphs}"
        '<style:style style:name="Frame" style:family="graphic"><style:graphic-properties '
        'style:wrap="parallel" style:horizontal-pos="right" style:horizontal-rel="paragraph" '
        'style:vertical-pos="top" style:vertical-rel="paragraph" fo:background-color="#e8eef4" '
        'fo:border="0.5pt solid #667788" fo:padding="0.2cm" fo:margin-left="0.4cm"/></style:style>'
        f"</office:styles><office:automatic-styles>{cells}"
        '<style:style style:name="Two" style:family="section"><style:section-properties>'
        '<style:columns fo:column-count="2" fo:column-gap="0.7cm"/></style:section-properties>'
        "</style:style>"
        '<text:list-style style:name="B"><text:list-level-style-bullet text:level="1" '
        'text:bullet-char="•"><style:list-level-properties text:space-before="0.3cm" '
        'text:min-label-width="0.5cm"/></text:list-level-style-bullet></text:list-style>'
        '<text:list-style style:name="N"><text:list-level-style-number text:level="1" '
        'style:num-format="1" style:num-suffix=". "><style:list-level-properties '
        'text:space-before="0.3cm" text:min-label-width="0.6cm"/></text:list-level-style-number>'
        "</text:list-style>"
        '<style:page-layout style:name="L"><style:page-layout-properties fo:page-width="21cm" '
        f'fo:page-height="29.7cm" fo:margin="2.2cm" style:writing-mode="{mode}"/>'
        "</style:page-layout></office:automatic-styles><office:master-styles>"
        '<style:master-page style:name="Standard" style:page-layout-name="L"/>'
        "</office:master-styles>"
    )


def paragraph_style(name: str, paragraph: str, letters: str) -> str:
    """Return a style of paragraphs."""
    return (
        f'<style:style style:name="{name}" style:family="paragraph"><style:paragraph-properties '
        f"{paragraph}/><style:text-properties {letters}/></style:style>"
    )


def typeset_block(block: Block, notes: count[int], language: str) -> str:
    """Return a block as OpenDocument."""
    if block.kind in TABLES:
        return typeset_table(block, notes, language)
    lines = [inline(line, notes) for line in block.lines]
    match block.kind:
        case "title":
            return f'<text:h text:style-name="H1" text:outline-level="1">{lines[0]}</text:h>'
        case "heading":
            return f'<text:h text:style-name="H2" text:outline-level="2">{lines[0]}</text:h>'
        case "bullets" | "numbers":
            items = "".join(f"<text:list-item>{paragraph(line)}</text:list-item>" for line in lines)
            style = "B" if block.kind == "bullets" else "N"
            return f'<text:list text:style-name="{style}">{items}</text:list>'
        case "columns":
            inner = "".join(map(paragraph, lines))
            return f'<text:section text:style-name="Two" text:name="Columns">{inner}</text:section>'
        case "form":
            rows = [[typeset_field(cell) for cell in row] for row in block.rows]
            return table_of(rows, "all", "all", "Form")
        case "bilingual":
            columns = zip(*block.rows, strict=True)
            rows = [["".join(paragraph(escape(cell)) for cell in column) for column in columns]]
            return table_of(rows, "none", "none", "Languages")
    return "".join(map(paragraph, lines))


def typeset_table(block: Block, notes: count[int], language: str) -> str:
    """Return a table as OpenDocument."""
    rows = [[paragraph(inline(cell, notes), "Cell") for cell in row] for row in block.rows]
    head, foot = BORDERS[block.kind]
    return table_of(rows, head, foot, f"Table-{language}")


def table_of(rows: list[list[str]], head: str, foot: str, name: str) -> str:
    """Return rows of cells; `head` and `foot` are the borders of the first and the last row."""
    shown = []
    for number, row in enumerate(rows):
        inner = head if head == foot else "none"
        border = head if number == 0 else foot if number == len(rows) - 1 else inner
        cells = "".join(
            f'<table:table-cell table:style-name="{border}">{cell}</table:table-cell>'
            for cell in row
        )
        shown.append(f"<table:table-row>{cells}</table:table-row>")
    columns = f'<table:table-column table:number-columns-repeated="{len(rows[0])}"/>'
    return f'<table:table table:name="{name}">{columns}{"".join(shown)}</table:table>' + paragraph(
        ""
    )


def typeset_frame(block: Block, number: int) -> str:
    """Return a sidebar: a frame with text, to the right of the paragraph that anchors it."""
    lines = "".join(paragraph(escape(line), "Cell") for line in block.lines)
    return (
        f'<draw:frame draw:style-name="Frame" draw:name="Frame{number}" '
        'text:anchor-type="paragraph" svg:width="5cm" draw:z-index="0">'
        '<draw:text-box fo:min-height="1cm">'
        f"{lines}</draw:text-box></draw:frame>"
    )


def typeset_field(cell: str) -> str:
    """Return a field of a form: a small label above its value."""
    label, value = split_field(cell)
    return paragraph(escape(label), "Small") + paragraph(escape(value), "Cell")


def paragraph(shown: str, style: str = "P") -> str:
    """Return a paragraph."""
    return f'<text:p text:style-name="{style}">{shown}</text:p>'


def inline(line: str, notes: count[int]) -> str:
    """Return a line with its footnotes."""
    parts = NOTE.split(line)
    shown = escape(parts[0])
    for note, after in zip(parts[1::2], parts[2::2], strict=True):
        number = next(notes)
        body = paragraph(f"<text:s/>{escape(note)}")
        shown += (
            f'<text:note text:id="n{number}" text:note-class="footnote">'
            f"<text:note-citation>{number}</text:note-citation>"
            f"<text:note-body>{body}</text:note-body></text:note>{escape(after)}"
        )
    return shown
