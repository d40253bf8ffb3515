"""Read the glyphs of scripts of India that a font maps to the syllable each was first used in.

WeasyPrint maps the last glyph of a syllable to all of its letters, and the others to nothing:
"रि" is drawn as a vowel that has no text, and a consonant whose text is the syllable, here and in
"रा". The vowel has a glyph of its own, left of the consonant; so the glyph is the consonant, and
the one before it where it was first used is the vowel.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import compress, takewhile

from ingest.extract.engines.pdfium_clusters import UNKNOWN, Cluster, has_mark
from ingest.extract.engines.pdfium_font_maps import read_font_letters
from ingest.extract.engines.pdfium_raw import TextHandle, has_map_error, list_owners
from ingest.extract.indic import CONSONANTS, JOINER, LEFT_VOWEL, LEFT_VOWELS, SCRIPTS, draw_left

# The vowels with a part on either side of the consonant, and these parts.
SPLIT_VOWELS = {
    "\u09cb": "\u09c7\u09be",
    "\u09cc": "\u09c7\u09d7",
    "\u0b4b": "\u0b47\u0b3e",
    "\u0b4c": "\u0b47\u0b57",
    "\u0bca": "\u0bc6\u0bbe",
    "\u0bcb": "\u0bc7\u0bbe",
    "\u0bcc": "\u0bc6\u0bd7",
    "\u0d4a": "\u0d46\u0d3e",
    "\u0d4b": "\u0d47\u0d3e",
    "\u0d4c": "\u0d46\u0d57",
}
# The left vowels of the scripts that draw each with one glyph, or have but one.
VOWELS_OF_SCRIPTS = [
    (range(0x900, 0x980), "\u093f"),
    (range(0xA00, 0xA80), "\u0a3f"),
    (range(0xA80, 0xB00), "\u0abf"),
    (range(0xB80, 0xC00), "\u0bc6\u0bc7\u0bc8"),
    (range(0xD00, 0xD80), "\u0d46\u0d47\u0d48"),
]

VOWELS = f"[{LEFT_VOWEL}{''.join(SPLIT_VOWELS)}]"
# In a font, ra without a vowel of its own is a hook on the end of the syllable that it begins.
SYLLABLE = re.compile(
    f"(?P<hook>[\u0930\u09b0\u0a30\u0ab0][\u094d\u09cd\u0a4d\u0acd])?(?P<letters>{CONSONANTS})"
    f"(?P<vowel>{VOWELS})?(?P<rest>.*)",
    re.DOTALL,
)
CONSONANT = re.compile(CONSONANTS)
HALF_CONSONANT = re.compile(f"{CONSONANTS}{JOINER}")
# A consonant that is drawn below a syllable, or right of it; in Telugu and Kannada, any may be.
LOW_SYLLABLE = re.compile(
    "(?P<letter>[\u0c15-\u0c39\u0c95-\u0cb9]?)"
    "(?P<low>[\u0c4d\u0ccd][\u0c15-\u0c39\u0c95-\u0cb9]|\u09cd\u09af)"
    "(?P<vowel>[\u0c3e-\u0c4c\u0cbe-\u0ccc\u09c1-\u09c4]?)"
)
# A letter of Arabic with its vowels, and what may be the number of a glyph beside one.
ARABIC_LETTER = "[\u0620-\u063f\u0641-\u064a\u066e-\u06d3]"
ARABIC_SYLLABLE = re.compile(f"{ARABIC_LETTER}[\u064b-\u065f\u0670]+")
GLYPH_NUMBER = "[\x80-\x9f\xc0-\u058f\u0900-\u1fff\u2c00-\ufb1c\ufffd\ufffe]"
ARABIC, FOREIGN = re.compile(ARABIC_LETTER), re.compile(GLYPH_NUMBER)
FOREIGN_IN_ARABIC = re.compile(
    f"{ARABIC_LETTER}[ \u064b-\u065f]?{GLYPH_NUMBER}|{GLYPH_NUMBER} ?{ARABIC_LETTER}"
)
MAX_UNMAPPED = 2  # glyphs in a row that are mapped to nothing

# In heights of the type.
MAX_MARK_SHIFT = 0.15  # from the base line of a letter to that of a mark on it
SAME_GLYPH = 0.02  # of the widths of two glyphs that are one
SAME_PLACE = 0.1  # of two clusters drawn twice, to look bold


@dataclass(slots=True)
class GlyphTexts:
    """Texts of the glyphs of a document, as far as its pages have shown them."""

    seen: set[str] = field(default_factory=set)  # texts of glyphs that were used
    # Syllables drawn by one glyph, or with a hook whose glyph has the vowel, too.
    whole: set[str] = field(default_factory=set)
    leading: set[str] = field(default_factory=set)  # those mapped to a first glyph, a vowel
    marks: set[str] = field(default_factory=set)  # those of Arabic mapped to a last glyph, a vowel
    own: dict[str, str] = field(default_factory=dict)  # of those mapped to more than they draw
    known: dict[str, str] = field(default_factory=dict)  # of those mapped to nothing


def correct_syllables(
    clusters: list[Cluster], names: Sequence[str], texts: GlyphTexts, *, is_distilled: bool = False
) -> list[Cluster]:
    """Return the clusters of a page, in drawing order, with each glyph's own text.

    `names` has the character of each glyph that is mapped to nothing, and "" for others. A document
    of LibreOffice that was distilled may have none of those.
    """
    if not (is_distilled or any(names)):
        return clusters
    learn(clusters, names, texts)
    if not (texts.known or texts.leading or any(names)):
        return clusters
    found: list[Cluster] = []
    for cluster, name in zip(clusters, names, strict=True):
        match = None if name or cluster.is_exact else SYLLABLE.fullmatch(cluster.text)
        if name:
            text = texts.known.get(name, UNKNOWN)
            drawn = draw_left(text) if LEFT_VOWELS.fullmatch(text) else text
            found.append(replace(cluster, text=drawn))
        elif match and match["hook"]:
            put_before_syllable(found, match["hook"])
            if own := texts.own.get(cluster.text):
                found.append(replace(cluster, text=own))
        elif not cluster.is_exact and cluster.text in texts.own:
            found.append(replace(cluster, text=texts.own[cluster.text]))
        elif match and cluster.text in texts.leading:
            found.append(replace(cluster, text=draw_left(match["vowel"])))
        elif match and match["vowel"] and cluster.text not in texts.whole:
            right = SPLIT_VOWELS.get(match["vowel"], "")[1:]
            found.append(replace(cluster, text=match["letters"] + right + match["rest"]))
        elif not cluster.is_exact and cluster.text in texts.marks:
            found.append(replace(cluster, text=cluster.text[1:]))
        elif not cluster.is_exact and cluster.text in SPLIT_VOWELS:
            found.append(replace(cluster, text=SPLIT_VOWELS[cluster.text][1]))
        else:
            found.append(cluster)
    return found


def list_unmapped(handle: TextHandle, drawn: str, clusters: Sequence[Cluster]) -> list[str]:
    """List the characters that PDFium has for glyphs mapped to nothing, and "" for other clusters.

    They are the numbers of the glyphs. Only those next to letters of India's scripts count, and
    those next to Arabic letters that look like none.
    """
    names = [
        drawn[cluster.place]
        if cluster.place >= 0 and not cluster.is_exact and has_map_error(handle, cluster.place) == 1
        else ""
        for cluster in clusters
    ]
    indic = [bool(cluster.text) and ord(cluster.text[0]) in SCRIPTS for cluster in clusters]
    arabic = [ARABIC.match(cluster.text) is not None for cluster in clusters]
    for place in compress(range(len(names)), names):
        around = range(max(0, place - MAX_UNMAPPED), min(len(names), place + MAX_UNMAPPED + 1))
        is_foreign = FOREIGN.fullmatch(names[place]) and any(arabic[near] for near in around)
        if not is_foreign and not any(indic[near] for near in around):
            names[place] = ""
    return names


def learn_from_fonts(
    handle: TextHandle, clusters: Sequence[Cluster], names: Sequence[str], texts: GlyphTexts
) -> None:
    """Add the glyphs mapped to nothing that are letters by the maps of a page's fonts.

    A number that two of these fonts have for different glyphs becomes unknown.
    """
    used = dict.fromkeys(
        (name, owner)
        for name, cluster in zip(names, clusters, strict=True)
        if name
        for owner in filter(None, list_owners(handle, [cluster.place]))
    )
    fonts = read_font_letters([owner for _, owner in used], SCRIPTS)
    found: dict[str, set[str]] = {}
    for (name, _), letters in zip(used, fonts, strict=True):
        found.setdefault(name, set()).add(letters.get(ord(name), ""))
    for name, (letter, *others) in found.items():
        if others:
            texts.known.pop(name, None)
        elif letter:
            texts.known[name] = letter


def learn(clusters: Sequence[Cluster], names: Sequence[str], texts: GlyphTexts) -> None:
    """Add what the first use of each glyph shows of those before it that are mapped to nothing."""
    for place, (cluster, name) in enumerate(zip(clusters, names, strict=True)):
        if name or cluster.is_exact or cluster.text in texts.seen:
            continue
        texts.seen.add(cluster.text)
        match = SYLLABLE.fullmatch(cluster.text)
        before = place - 1
        learn_low_consonant(clusters, names, place, texts)
        if ARABIC_SYLLABLE.fullmatch(cluster.text):
            # The letter is drawn on either side of its mark.
            for near in filter(None, names[max(0, before) : place + 2]):
                texts.known.setdefault(near, cluster.text[0])
                texts.marks.add(cluster.text)
        if match and match["hook"] and before >= 0:
            rest = match["rest"]
            while before > 0 and not (names[before] or CONSONANT.fullmatch(clusters[before].text)):
                rest = rest.removeprefix(clusters[before].text)
                before -= 1
            texts.own[cluster.text] = rest
            letters = match["letters"]
            if not names[before]:
                letters = letters.removesuffix(clusters[before].text)
                before -= 1
            if letters and before >= 0 and names[before]:
                texts.known.setdefault(names[before], letters)
                before -= 1
        if match and match["vowel"] and before >= 0 and names[before]:
            left = SPLIT_VOWELS.get(match["vowel"], match["vowel"])[0]
            texts.known.setdefault(names[before], left)
        elif match and match["vowel"] and not match["hook"]:
            after = names[place + 1 : place + 2], clusters[place + 1 : place + 2]
            learn_leading(match, *after, texts)
    for script, vowels in VOWELS_OF_SCRIPTS:
        if any(ord(cluster.text[0]) in script for cluster in clusters if cluster.text):
            learn_last_vowel(clusters, names, texts, set(vowels))


def learn_low_consonant(
    clusters: Sequence[Cluster], names: Sequence[str], place: int, texts: GlyphTexts
) -> None:
    """Add a consonant that is drawn below its syllable, and is mapped to more of it.

    The rest of it is what is drawn before, or a vowel after.
    """
    text = clusters[place].text
    match = LOW_SYLLABLE.fullmatch(text)
    if not match or not place:
        return
    if names[place - 1] and (before := match["letter"] + match["vowel"]):
        texts.known.setdefault(names[place - 1], before)
    rest = text
    after = names[place + 1 : place + 2]
    if match["vowel"] and [texts.known.get(name) for name in after] == [match["vowel"]]:
        rest = rest.removesuffix(match["vowel"])
    near = place
    while rest != match["low"]:
        near -= 1
        shown = clusters[near].text
        known = texts.known.get(names[near]) if names[near] else texts.own.get(shown, shown)
        if near < 0 or not known or Counter(known) - Counter(rest):
            return
        for letter in known:
            rest = rest.replace(letter, "", 1)
    texts.own[text] = rest


def learn_leading(
    match: re.Match[str], names: Sequence[str], clusters: Sequence[Cluster], texts: GlyphTexts
) -> None:
    """Add a glyph that is first used with no vowel before it, and what follows it.

    LibreOffice gives all of a syllable to its first glyph.
    """
    if match["vowel"] in SPLIT_VOWELS or match["rest"]:
        texts.whole.add(match.string)
    elif any(names):
        texts.known.setdefault(names[0], match["letters"])
        texts.leading.add(match.string)
    elif [cluster.text for cluster in clusters] == [match["letters"]]:
        texts.leading.add(match.string)
    else:
        texts.whole.add(match.string)


def learn_last_vowel(
    clusters: Sequence[Cluster], names: Sequence[str], texts: GlyphTexts, vowels: set[str]
) -> None:
    """Add the glyphs that always stand before a consonant, if one vowel is left for them."""
    known = set(texts.known.values())
    left = vowels - known if len(vowels) > 1 else vowels
    if len(left) != 1 or not vowels & known:
        return
    others = {names[-1]}
    for name, cluster, after in zip(names, clusters[1:], names[1:], strict=False):
        match = SYLLABLE.fullmatch(texts.known.get(after, "") if after else cluster.text)
        if not match or match["hook"]:
            others.add(name)
    for name in {*names} - others - {""}:
        texts.known.setdefault(name, *left)


def put_before_syllable(clusters: list[Cluster], hook: str) -> None:
    """Put the letter that a hook stands for before the last syllable."""
    for place in range(len(clusters) - 1, -1, -1):
        if clusters[place].text == UNKNOWN or CONSONANT.fullmatch(clusters[place].text):
            halves = takewhile(lambda c: HALF_CONSONANT.fullmatch(c.text), clusters[:place][::-1])
            first = place - sum(1 for _ in halves)
            clusters[first] = replace(clusters[first], text=hook + clusters[first].text)
            return


def drop_repeated(clusters: Sequence[Cluster]) -> list[Cluster]:
    """Drop what is drawn a second time at nearly the same place, to look bold.

    PDFium does so itself, unless the document says what a cluster stands for.
    """
    kept: list[Cluster] = []
    known: dict[str, Cluster] = {}
    first = clusters[0]  # glyph of the last letters
    for number, cluster in enumerate(clusters):
        if number and is_further_glyph(cluster, first, kept[-1]):
            kept[-1].right = max(kept[-1].right, cluster.right)
            continue
        first = replace(cluster)
        if cluster.is_exact:
            reach = SAME_PLACE * cluster.size
            other = known.get(cluster.text)
            known[cluster.text] = cluster
            if (
                other
                and abs(other.left - cluster.left) < reach
                and abs(other.base - cluster.base) < reach
            ):
                continue
        kept.append(cluster)
    return kept


def is_further_glyph(cluster: Cluster, first: Cluster, letters: Cluster) -> bool:
    """Return whether a cluster is another glyph of the letters before it, with their text again.

    Some programs say for each glyph of a syllable what all of them stand for. A syllable that is
    written twice begins with the same glyph again.
    """
    if cluster.text != first.text or len(cluster.text) == 1 or not has_mark(cluster.text):
        return False
    if cluster.is_turned or first.is_turned:
        return False
    near = (
        abs(cluster.left - letters.right) < cluster.size
        and abs(cluster.base - letters.base) < MAX_MARK_SHIFT * cluster.size
    )
    wider = (cluster.right - cluster.left) - (first.right - first.left)
    differs = abs(wider) > SAME_GLYPH * cluster.size or cluster.base != first.base
    return near and differs
