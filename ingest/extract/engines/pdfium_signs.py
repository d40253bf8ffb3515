"""Read the vowel signs of Devanagari by the shapes of their glyphs, where a font maps them wrongly.

WeasyPrint maps glyphs by their first use. "ों" is drawn as an upright and a hook with a dot above
it. If they are mapped to "ो" and "ं", "ा" and "में" are read as "ो" and "मं" from there on.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from statistics import median

from ingest.extract.engines.pdfium_clusters import Cluster
from ingest.extract.engines.pdfium_raw import BOX_FIELDS, TextHandle, drawn_box
from ingest.extract.engines.placeholders import NOTHING

CONSONANT = re.compile("[\u0915-\u0939]")
UPRIGHT, UPRIGHT_WITH_HOOK = "\u093e", "\u094b"  # ा, ो
DOT, HOOK_WITH_DOT = "\u0902", "\u0947\u0902"  # ं, ें
# An upright that was drawn apart from its hook, or its two; no word has both signs.
PARTED_SIGN = re.compile("\u093e[\u0947\u0948]|[\u0947\u0948]\u093e")
TWO_HOOKS, UPRIGHT_WITH_TWO_HOOKS = "\u0948", "\u094c"  # ै, ौ

# In heights of the type.
MAX_DOT_WIDTH = 0.25
MIN_HOOK_HEIGHT = 0.1  # above the letters
MAX_MEASURED_LETTERS = 20


def correct_signs(handle: TextHandle, clusters: Sequence[Cluster]) -> list[Cluster]:
    """Return the clusters of a page with the vowel signs that are drawn."""
    letters = (c for c in clusters if is_measurable(c) and CONSONANT.fullmatch(c.text))
    tops = [measure(handle, letter)[1] for letter in islice(letters, MAX_MEASURED_LETTERS)]
    if not tops:
        return list(clusters)
    least = median(tops) + MIN_HOOK_HEIGHT
    return list(iter_corrected(handle, clusters, least))


def iter_corrected(
    handle: TextHandle, clusters: Sequence[Cluster], least: float
) -> Iterator[Cluster]:
    """Yield clusters with the signs that are drawn; one with a hook is at least so high."""
    for cluster in clusters:
        text, is_exact = cluster.text, cluster.is_exact
        if text in (UPRIGHT_WITH_HOOK, DOT) and not is_exact and is_measurable(cluster):
            width, top = measure(handle, cluster)
            if text == DOT and width > MAX_DOT_WIDTH:
                text = HOOK_WITH_DOT
            elif text == UPRIGHT_WITH_HOOK and top < least:
                text = UPRIGHT
        yield cluster if text == cluster.text else replace(cluster, text=text)


def is_measurable(cluster: Cluster) -> bool:
    """Return whether a cluster is a glyph of the page, in type that is not flat."""
    return cluster.place >= 0 and cluster.size > 0


def measure(handle: TextHandle, cluster: Cluster) -> tuple[float, float]:
    """Return the width of a glyph, and its top above the base line, in heights of the type."""
    box = (ctypes.c_double * BOX_FIELDS)()
    start = ctypes.addressof(box)
    drawn_box(handle, cluster.place, start, start + 8, start + 16, start + 24)
    left, right, _, top = box
    return (right - left) / cluster.size, (top - cluster.base) / cluster.size


def join_signs(text: str) -> str:
    """Return a text with each upright and its hooks as one sign; as long as before."""

    def join(match: re.Match[str]) -> str:
        has_two = TWO_HOOKS in match[0]
        return (UPRIGHT_WITH_TWO_HOOKS if has_two else UPRIGHT_WITH_HOOK) + NOTHING

    return PARTED_SIGN.sub(join, text)
