"""Prepare Arabic for reportlab, which draws one character after another from left to right."""

from dataclasses import replace

from arabic_reshaper import reshape
from bidi.algorithm import get_display
from reportlab.lib.styles import ParagraphStyle
from reportlab.pdfbase.pdfmetrics import stringWidth
from texts import Block


def shape_block(block: Block, styles: dict[str, ParagraphStyle], width: float) -> Block:
    style = styles[f"h{block.level}" if block.kind == "heading" else "body"]
    return replace(block, text=shape_text(block.text, style, width))


def shape_text(text: str, style: ParagraphStyle, width: float) -> str:
    """Join the letters, break the lines, and only then put each line into its printed order.

    Breaking comes in between because the first words of a paragraph stand at the right end of
    its first line, and not at the end of the whole.
    """
    lines = [""]
    for word in reshape(text).split():
        longer = f"{lines[-1]} {word}".strip()
        if stringWidth(longer, style.fontName, style.fontSize) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return "\n".join(get_display(line, base_dir="R") for line in lines)
