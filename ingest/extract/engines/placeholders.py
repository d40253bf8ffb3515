"""Characters that stand for other text, or none, while a page is put into reading order.

One character has one box, so a page's text must keep the number of its characters until then.
"""

from __future__ import annotations

import re

from ingest.extract.ascii_parts import non_ascii

NOTHING = "\u2060"  # word joiner: cleaning drops it
FIRST, LAST = 0xD800, 0xDFFF  # lone surrogates, which no decoded text has
PLACEHOLDER = re.compile(f"[{chr(FIRST)}-{chr(LAST)}]")


class Placeholders:
    """Placeholders of a document, and the text that each stands for."""

    def __init__(self) -> None:
        self.misses_spaces = False  # whether a page had gaps where PDFium reads no space
        self.texts: dict[str, str] = {}
        self.chars: dict[str, str] = {}

    def standing_for(self, text: str) -> str:
        """Return a character that stands for a text; its last character if all are in use."""
        text = "".join(self.texts.get(char, char) for char in text)
        if text not in self.chars:
            code = FIRST + len(self.chars)
            if code > LAST:
                return text[-1]
            self.chars[text] = chr(code)
            self.texts[chr(code)] = text
        return self.chars[text]

    def replace(self, text: str) -> str:
        """Replace the placeholders in a text by the characters that they stand for."""
        text = text.replace(NOTHING, "")
        if not (self.texts and PLACEHOLDER.search(non_ascii(text))):
            return text

        def expand(match: re.Match[str]) -> str:
            found = self.texts.get(match[0], match[0])
            # A word that begins a cell needs no space before it.
            is_first = match.start() == 0 or text[match.start() - 1] in "\n "
            return found.lstrip(" ") if is_first else found

        return PLACEHOLDER.sub(expand, text)
