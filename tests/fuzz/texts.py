"""Texts as PDFs hold them at their worst, in every script."""

from __future__ import annotations

from hypothesis import strategies as st

# What each of these does is what the cleaner and the splitter must survive.
TRAPS = [
    *("\n", "\r", "\r\n", "\f", "\v", "\t", " ", "  ", "\x85", "\u2028", "\u2029", "\u3000"),
    *(
        "-",
        "\u2010",
        "-\n",
        "\u2010\n",
        "\xad",
        "\xad\n",
        "\ufffe",
        "\x02",
        "\x02\r\n",
        "....",
        " . . . .",
        "\u2026\u2026\u2026",
    ),
    *("\0", "\x07", "\x1b", "\x1c", "\x7f", "\x9f", "\uffff", "\ufdd0", "\U0010ffff"),
    *("\ud800", "\udfff", "\udc00\ud800"),  # halves of pairs, in no order
    *("\u200b", "\u200c", "\u200d", "\u200e", "\u200f", "\u202e", "\u2060", "\ufeff", "\xa0"),
    *("ﬁ", "ﬃ", "ﬅ", "ﬓ", "שׁ", "ﭏ", "ﷺ", "ﷲ", "ﹱ", "ﻻ", "ﱞ"),
    *("e", "\u0301", "\u0323", "\u0345", "Å", "ᄀ", "ᅡ", "ᆨ", "가", "क्षि", "ทำ", "ༀ", "ཱུ"),
    *("a", "A", "ß", "ſ", "İ", "ǆ", "ﬀ", "ª", "²", "٣", "７", "Ⅷ", "㋿", "㎏"),
    *(
        "東京",
        "。",
        "！",
        "「",
        "」",
        "ｶﾞ",
        "は゛",
        "👩\u200d👩\u200d👧",
        "🇩🇪",
        "❤\ufe0f",
        "𝔘",
        "\U0002f800",
    ),
    *(
        ".",
        "!",
        "?",
        ":",
        "…",
        ")",
        "”",
        ". A",
        ". a",
        "1.",
        "(a)",
        "\n1. ",
        "\n• ",
        "\n•\n",
        "\n- ",
    ),
    *(
        "|",
        " | ",
        "\\|",
        "\n|",
        "|\n|",
        "---",
        "\n| --- |",
        "\n| a | b |\n| --- | --- |\n| c | d |",
    ),
    *("\n| a |\n| --- |", "\n| b |", "Table 1. T\n", "\n\nTable 2: T\n", "\n17\n", "表1　表"),
    *(
        "word ",
        "Word",
        "x" * 70,
        "é" * 30,
        "/g12/g13/g14",
        "http://a.b/c",
        "<|endoftext|>",
        "\\u0000",
    ),
]

anything = st.text(alphabet=st.characters(), max_size=200)  # lone surrogates too
trapped = st.lists(st.sampled_from(TRAPS) | st.text(st.characters(), max_size=3), max_size=60)
repeated = st.tuples(st.sampled_from(TRAPS), st.integers(1, 400)).map(
    lambda pair: pair[0] * pair[1]
)

# One page, as an engine gives it.
raw = st.one_of(
    anything, trapped.map("".join), st.lists(repeated | anything, max_size=6).map("".join)
)

cells = st.sampled_from(["a", "12.5", "two words", "東京", "", "x" * 90, "a. B", "\\|", "c " * 60])


@st.composite
def tables(draw: st.DrawFn) -> str:
    """A table in Markdown, with a caption or none, broken by the end of a page or not."""
    width = draw(st.integers(1, 6))
    row = st.lists(cells, min_size=width, max_size=width).map(lambda row: f"| {' | '.join(row)} |")
    lines = [draw(row), "|" + " --- |" * width, *draw(st.lists(row, max_size=40))]
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.integers(2, len(lines)))
        again = lines[:2] if draw(st.booleans()) else []
        lines[place:place] = [*draw(st.sampled_from([[], ["17"], ["", "17", "Prices"]])), *again]
    before = draw(st.sampled_from(["", "Table 1. Prices\n", "Table 1\n\n", "as follows:\n"]))
    after = draw(st.sampled_from(["", "\nTable 1. Prices", "\n\nTabelle II: x", "\n"]))
    return before + "\n".join(lines) + after


prose = st.lists(
    st.sampled_from(
        ["One sentence.", "and so on", "東京。", "• An item", "2. Another", "3 Heading"]
    ),
    max_size=30,
).map("\n".join)

structured = st.lists(st.one_of(tables(), prose, raw), max_size=5).map("\n".join)
