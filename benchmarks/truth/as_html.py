"""Typeset a text as HTML, for WeasyPrint and Chromium."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

from texts import NOTE, RIGHT_TO_LEFT, TABLES, Block, Text, split_field

STYLE = """
@page { size: A4; margin: 22mm 20mm }
body { font: 10.5pt/1.45 FAMILY; margin: 0 }
h1 { font-size: 19pt; line-height: 1.2; margin: 0 0 4mm }
h2 { font-size: 13pt; margin: 5mm 0 2mm }
p { margin: 0 0 2mm; JUSTIFY }
.columns { columns: 2; column-gap: 7mm; margin-bottom: 3mm }
table { border-collapse: collapse; margin: 3mm 0 }
td, th { padding: 1mm 5mm 1mm 2mm; text-align: start; vertical-align: top }
.ruled td, .ruled th { border: 0.5pt solid #333 }
.booktabs { border-top: 1.2pt solid; border-bottom: 1.2pt solid }
.booktabs th { border-bottom: 0.6pt solid }
.sidebar { float: inline-end; float: right; width: 46mm; background: #e8eef4; padding: 3mm;
  margin: 0 0 3mm 5mm; border: 0.5pt solid #678 }
.sidebar p { text-align: start }
.form { display: flex; margin-bottom: 2mm }
.field { flex: 1; border: 0.5pt solid #999; padding: 1mm 2mm; margin-inline-end: 3mm }
.field b { display: block; font-size: 8pt; font-weight: normal }
.bilingual { width: 100% }
.bilingual td { width: 50%; padding: 0 3mm }
.footnote { float: footnote; font-size: 8.5pt }
.note { font-size: 8.5pt }
"""


def typeset(text: Text, family: str, *, footnotes: bool) -> str:
    """Return a text as HTML; without `footnotes`, notes are put after the text."""
    justify = "text-align: justify; hyphens: auto" if text.hyphenate else ""
    style = STYLE.replace("FAMILY", family).replace("JUSTIFY", justify)
    direction = "rtl" if text.language in RIGHT_TO_LEFT else "ltr"
    notes: list[str] = []

    def inline(line: str) -> str:
        parts = NOTE.split(line)
        shown = escape(parts[0])
        for note, after in zip(parts[1::2], parts[2::2], strict=True):
            notes.append(escape(note))
            mark = (
                f'<span class="footnote">{notes[-1]}</span>'
                if footnotes
                else f"<sup>{len(notes)}</sup>"
            )
            shown += mark + escape(after)
        return shown

    body = "\n".join(typeset_block(block, inline) for block in text.blocks)
    if notes and not footnotes:
        body += "<hr>" + "".join(
            f'<p class="note"><sup>{number}</sup> {note}</p>'
            for number, note in enumerate(notes, 1)
        )
    return (
        f'<!doctype html><html lang="{text.language}" dir="{direction}"><meta charset="utf-8">'
        f"<title>{escape(text.blocks[0].lines[0])}</title><style>{style}</style>"
        f"<body>{body}</body></html>"
    )


def typeset_block(block: Block, inline: Callable[[str], str]) -> str:
    """Return a block as HTML."""
    lines = [inline(line) for line in block.lines]
    paragraphs = "".join(f"<p>{line}</p>" for line in lines)
    if block.kind in TABLES:
        rows = [[inline(cell) for cell in row] for row in block.rows]
        shown = "".join(map(typeset_row, rows, range(len(rows))))
        return f'<table class="{block.kind}">{shown}</table>'
    match block.kind:
        case "title":
            return f"<h1>{lines[0]}</h1>"
        case "heading":
            return f"<h2>{lines[0]}</h2>"
        case "bullets" | "numbers":
            tag = "ul" if block.kind == "bullets" else "ol"
            return f"<{tag}>{''.join(f'<li>{line}</li>' for line in lines)}</{tag}>"
        case "form":
            return "".join(
                f'<div class="form">{"".join(map(typeset_field, row))}</div>' for row in block.rows
            )
        case "bilingual":
            cells = zip(*block.rows, strict=True)
            columns = ("".join(f"<p>{escape(cell)}</p>" for cell in column) for column in cells)
            return f'<table class="bilingual"><tr><td>{"</td><td>".join(columns)}</td></tr></table>'
        case "paragraph":
            return paragraphs
    return f'<div class="{block.kind}">{paragraphs}</div>'


def typeset_row(cells: list[str], number: int) -> str:
    """Return a row of a table; the first one is its header."""
    tag = "td" if number else "th"
    return f"<tr>{''.join(f'<{tag}>{cell}</{tag}>' for cell in cells)}</tr>"


def typeset_field(cell: str) -> str:
    """Return a field of a form: a small label above its value, in a box."""
    label, value = split_field(cell)
    return f'<div class="field"><b>{escape(label)}</b>{escape(value)}</div>'
