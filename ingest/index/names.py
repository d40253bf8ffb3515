"""Words of a source's name, for keyword search: "Boeing FY2022" may stand nowhere else. Pure."""

from __future__ import annotations

import re

from ingest.models import strip_document_suffix

SEPARATORS = re.compile(r"[\W_]+")
PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\dA-Z]+|\d+")  # of AnnualReport2022
# Four digits, or two behind "FY".
YEAR = re.compile(r"(?<!\d)((?:19|20)\d\d|(?<=[Ff][Yy])\d\d)(?!\d)")


def split_names(source: str) -> str:
    """Split a name at punctuation, capitals and digits, and add the spellings of its years.

    "BoeingFY22_10K.pdf" becomes "BoeingFY22 10K Boeing FY 22 10 K 2022 fy2022 fy22".
    """
    words = SEPARATORS.sub(" ", strip_document_suffix(source)).split()
    parts = [part for word in words if len(found := PARTS.findall(word)) > 1 for part in found]
    years = dict.fromkeys(map(full_year, YEAR.findall(" ".join(words))))
    spellings = [f"{year} fy{year} fy{year[2:]}" for year in years]
    return " ".join((*words, *parts, *spellings))


def full_year(digits: str) -> str:
    """Return a year in four digits; two are of this century."""
    return digits if len(digits) == len("2022") else f"20{digits}"
