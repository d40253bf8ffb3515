"""Typeset a text as Typst markup."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from texts import NOTE, RIGHT_TO_LEFT, TABLES, Block, Text, halves, split_field

SPECIAL = re.compile(r"([\\#$*_`<>@\[\]~/=+\-'\"])")


def typeset(text: Text, families: Sequence[str]) -> str:
    """Return a text as Typst markup."""
    direction = "rtl" if text.language in RIGHT_TO_LEFT else "ltr"
    fonts = "".join(f"{json.dumps(family)}, " for family in families)
    hyphenate = str(text.hyphenate).lower()
    head = (
        '#set page(paper: "a4", margin: 2.2cm)\n'
        f"#set text(font: ({fonts}), size: 10.5pt, lang: {json.dumps(text.language)},"
        f" dir: {direction}, hyphenate: {hyphenate})\n"
        f"#set par(justify: {hyphenate}, leading: 0.7em)\n"
    )
    return head + "\n\n".join(typeset_blocks(text.blocks))


def typeset_blocks(blocks: Sequence[Block]) -> Iterator[str]:
    """Yield blocks as markup; a sidebar stands to the left of the paragraph that follows it."""
    waiting = iter(blocks)
    for block in waiting:
        if block.kind == "sidebar":
            box = r" \ ".join(map(inline, block.lines))
            yield (
                "#grid(columns: (4.6cm, 1fr), gutter: 6mm, "
                f"rect(fill: luma(235), inset: 3mm)[{box}], [{inline(next(waiting).lines[0])}])"
            )
        else:
            yield typeset_block(block)


def typeset_block(block: Block) -> str:
    """Return a block as markup."""
    lines = [inline(line) for line in block.lines]
    if block.kind in TABLES:
        return typeset_table(block)
    match block.kind:
        case "title":
            return f"= {lines[0]}"
        case "heading":
            return f"== {lines[0]}"
        case "bullets" | "numbers":
            mark = "-" if block.kind == "bullets" else "+"
            return "\n".join(f"{mark} {line}" for line in lines)
        case "form":
            fields = [split_field(cell) for row in block.rows for cell in row]
            cells = "".join(
                f"rect(width: 100%)[#text(8pt)[{inline(label)}] \\ {inline(value)}], "
                for label, value in fields
            )
            return f"#grid(columns: 2, gutter: 2mm, {cells})"
        case "bilingual":
            left, right = (
                "\n\n".join(map(inline, column)) for column in zip(*block.rows, strict=True)
            )
            return f"#grid(columns: 2, gutter: 8mm, [{left}], [{right}])"
        case "columns":
            left, right = ("\n\n".join(map(inline, half)) for half in halves(block.lines))
            return f"#grid(columns: 2, gutter: 7mm, [{left}], [{right}])"
    return "\n\n".join(lines)


def typeset_table(block: Block) -> str:
    """Return a table as markup."""
    rows = block.rows
    stroke = "0.5pt" if block.kind == "ruled" else "none"
    cells = [", ".join(f"[{inline(cell)}]" for cell in row) for row in rows]
    rule = "table.hline(), " if block.kind == "booktabs" else ""
    return (
        f"#table(columns: {len(rows[0])}, stroke: {stroke}, column-gutter: 2mm, inset: 1.6mm, "
        f"{rule}{cells[0]}, {rule}{', '.join(cells[1:])}, {rule})"
    )


def inline(line: str) -> str:
    """Return a line as markup, with its footnotes."""
    parts = NOTE.split(line)
    shown = quote(parts[0])
    for note, after in zip(parts[1::2], parts[2::2], strict=True):
        shown += f"#footnote[{quote(note)}]" + quote(after)
    return shown


def quote(line: str) -> str:
    """Return text with a backslash before what markup gives a meaning."""
    quoted = SPECIAL.sub(r"\\\1", line)
    return re.sub(r"^(\d+)\.", r"\1\\.", quoted)
