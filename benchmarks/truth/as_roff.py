"""Typeset a text as roff, with the macros of groff_ms and tables for tbl."""

from __future__ import annotations

import re

from texts import NOTE, TABLES, Block, Text, split_field

LANGUAGES = {"en", "de", "fr", "es"}  # those whose letters groff's standard fonts have
OPTIONS = {"ruled": "allbox", "booktabs": "", "unruled": ""}


def typeset(text: Text) -> str:
    """Return a text as roff."""
    blocks = "\n".join(map(typeset_block, text.blocks))
    hyphens = "" if text.hyphenate else ".nh\n"
    return f".ds CH\n.nr PS 10.5\n.nr VS 14\n.nr PO 2.2c\n.nr LL 16.6c\n{hyphens}{blocks}\n"


def typeset_block(block: Block) -> str:
    """Return a block as roff."""
    if block.kind in TABLES:
        return typeset_table(block)
    lines = [inline(line) for line in block.lines]
    match block.kind:
        case "title":
            return f".TL\n{lines[0]}"
        case "heading":
            return f".SH\n{lines[0]}"
        case "bullets":
            return "\n".join(f".IP \\(bu 3\n{line}" for line in lines)
        case "numbers":
            return "\n".join(f".IP {number}. 4\n{line}" for number, line in enumerate(lines, 1))
        case "columns":
            return ".2C\n" + "\n".join(f".PP\n{line}" for line in lines) + "\n.1C"
        case "form":
            rows = "\n".join("\t".join(map(field, row)) for row in block.rows)
            return f".TS\nallbox;\nlw(7c) lw(7c).\n{rows}\n.TE"
        case "paragraph":
            return f".LP\n{lines[0]}"
    raise ValueError(block.kind)


def field(cell: str) -> str:
    """Return a field of a form: a small label above its value, in a box."""
    label, value = split_field(cell)
    return f"T{{\n.nh\n.ps -2\n{quote(label)}\n.ps +2\n.br\n{quote(value)}\nT}}"


def typeset_table(block: Block) -> str:
    """Return a table as input for tbl."""
    head, *rows = ["\t".join(quote(cell) for cell in row) for row in block.rows]
    columns = " ".join("l" * len(block.rows[0]))
    rule = ["_"] if block.kind == "booktabs" else []
    lines = [*rule, head, *rule, *rows, *rule]
    return "\n".join([".TS", f"{OPTIONS[block.kind]};".lstrip(";"), f"{columns}.", *lines, ".TE"])


def inline(line: str) -> str:
    """Return a line as roff, with its footnotes."""
    parts = NOTE.split(line)
    shown = quote(parts[0])
    for note, after in zip(parts[1::2], parts[2::2], strict=True):
        shown += f"\\**\n.FS\n{quote(note)}\n.FE\n{quote(after.lstrip())}"
    return shown


def quote(line: str) -> str:
    """Return text with what roff gives a meaning taken literally."""
    quoted = line.replace("\\", r"\e")
    return re.sub(r"^([.'])", r"\\&\1", quoted)
