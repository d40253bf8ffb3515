"""An index names its format and recipe, and nobody turns it into another one unasked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from ingest.config.manifest import check_format, check_recipe
from ingest.errors import ConfigError
from ingest.index import Index
from ingest.index.manifest import (
    INDEX_FORMAT,
    Manifest,
    create_manifest,
    manifest_from_json,
    manifest_to_json,
)
from ingest.models import Recipe, Record
from ingest.runtime.prices import Price, Rates
from tests.conftest import DIMENSIONS, MODEL, CommandHere
from tests.emulator.emulator import Azure
from tests.pdfs import prose, write
from tests.pipeline.worlds import ANOTHER_MACHINE, Process, World

DEFAULT = Recipe("auto", 512, 0.12, MODEL, DIMENSIONS)
RATES = Rates(Price("hash", 2.0, "2026-11-01"))
OURS = create_manifest(DEFAULT, DEFAULT)


@pytest.fixture(params=["local", "service"])
def index(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Index]:
    """An index with two documents that a version without manifests read, one of them in vain."""
    world = World(tmp_path if request.param == "local" else None)
    with closing(world.open(Process(), ANOTHER_MACHINE)) as made:
        digest = replace(DEFAULT, schema=3).digest
        fine = Record("/docs", "a.pdf", f"{digest}00", tokens=1_500_000, outcome="new", chunks=3)
        bad = Record("/docs", "b.pdf", digest, outcome="failed")
        for record in (fine, bad):
            made.save(record).result()
        made.is_new = False
        yield made


def check_index(index: Index, wanted: Manifest, *, take_over: bool = False) -> None:
    """Check the recipe as a run does once it holds the index."""
    check_format(index, "docs")
    check_recipe(index, wanted, "docs", RATES, take_over=take_over)


def test_an_upgrade_takes_the_index_over_by_itself(index: Index) -> None:
    """A run of a new version continues, and the index records which version wrote it."""
    assert index.manifest() is None
    check_index(index, OURS)
    assert index.manifest() == OURS
    newer = create_manifest(replace(DEFAULT, schema=DEFAULT.schema + 1), DEFAULT)
    check_index(index, newer)
    assert index.manifest() == newer
    with pytest.raises(ConfigError, match=r"reads documents in a newer way: .* upgrade ingest"):
        check_index(index, OURS)  # a job that still has the version before


def test_another_setting_is_refused_with_what_it_would_cost(index: Index) -> None:
    """A run with another chunk size says what it would cost, and embeds nothing."""
    small = create_manifest(replace(DEFAULT, chunk_tokens=256, overlap=0.0), DEFAULT)
    with pytest.raises(ConfigError, match="filled with another extractor, chunk size, overlap or"):
        check_index(
            index, small
        )  # of a version without manifests: the records tell that it differs
    check_index(index, OURS)
    with pytest.raises(ConfigError) as refused:
        check_index(index, small)
    assert str(refused.value) == (
        "the index docs was filled with INGEST_CHUNK_TOKENS=512, not 256 and "
        "INGEST_CHUNK_OVERLAP=0.12, not 0.0: this would read 1 document again and embed up to "
        "1,500,000 tokens, $3.00; set INGEST_CHUNK_TOKENS=512, INGEST_CHUNK_OVERLAP=0.12; or "
        "convert it with ingest run --take-over, or make a new one next to it with ingest rebuild"
    )
    assert index.manifest() == OURS
    check_index(index, small, take_over=True)
    assert index.manifest() == small
    with pytest.raises(ConfigError, match="INGEST_CHUNK_TOKENS=256, not 512"):
        check_index(index, OURS)  # the first job, the night after
    pictures = create_manifest(replace(DEFAULT, chunk_tokens=256, figures="text local"), DEFAULT)
    check_index(index, pictures, take_over=True)
    with pytest.raises(ConfigError, match=r"S=text local, not none.*; set .*INGEST_FIGURES=text, "):
        check_index(index, small)


@pytest.mark.parametrize(
    ("stored", "wanted", "remedy"),
    [
        ("describe a", "", "set INGEST_FIGURES=describe, AZURE_OPENAI_FIGURES_MODEL=a;"),
        ("describe a", "describe b", "cost\\); set AZURE_OPENAI_FIGURES_MODEL=a;"),
        ("describe a, images in a folder", "describe a", "; set INGEST_FIGURES_TO=a folder;"),
        ("describe a", "describe a, images in https://x/y", '; set INGEST_FIGURES_TO="";'),
        ("", "describe a, images in a folder", "cost\\); set INGEST_FIGURES=none;"),
        ("text local:r-3", "text azure-read", "; set INGEST_OCR=local;"),
    ],
)
def test_the_setting_of_figures_that_differs_is_named(
    index: Index, stored: str, wanted: str, remedy: str
) -> None:
    """Another model, another place for images: what to set is not what is set already."""
    check_index(index, create_manifest(replace(DEFAULT, figures=stored), DEFAULT), take_over=True)
    with pytest.raises(ConfigError, match=remedy):
        check_index(index, create_manifest(replace(DEFAULT, figures=wanted), DEFAULT))


def test_a_newer_format_is_refused_whatever_is_asked(index: Index) -> None:
    """An index of a newer format is refused, even with --take-over."""
    index.save_manifest(replace(OURS, format=INDEX_FORMAT + 1, version="9.0"))
    with pytest.raises(ConfigError, match=r"written by ingest 9\.0 .*: upgrade ingest"):
        check_index(index, OURS, take_over=True)


@pytest.mark.parametrize(
    ("then", "now", "default", "words"),
    [
        ({}, {}, {"chunk_tokens": 800}, ""),  # it is set, to what was the default
        ({}, {"chunk_tokens": 800}, {"chunk_tokens": 800}, ""),  # a new default
        ({}, {"chunk_tokens": 800}, {"chunk_tokens": 900}, "INGEST_CHUNK_TOKENS=512, not 800"),
        ({"chunk_tokens": 64}, {}, {}, "INGEST_CHUNK_TOKENS=64, not 512"),
        ({"model": "ada"}, {}, {}, "set AZURE_OPENAI_EMBEDDING_MODEL=ada;"),
        ({"extractor": "pypdf"}, {}, {}, "INGEST_EXTRACTOR=pypdf, not auto"),
    ],
)
def test_a_setting_differs_but_a_default_does_not(
    index: Index,
    then: dict[str, object],
    now: dict[str, object],
    default: dict[str, object],
    words: str,
) -> None:
    """An index is refused if a setting differs, and converted if only a default has changed."""

    def changed(values: dict[str, object]) -> Recipe:
        return replace(DEFAULT, **values)  # type: ignore[arg-type] # of any field

    index.save_manifest(create_manifest(changed(then), DEFAULT))
    refused = ""
    try:
        check_index(index, create_manifest(changed(now), changed(default)))
    except ConfigError as error:
        refused = str(error)
    assert (bool(refused), words in refused) == (bool(words), True)


def test_a_later_version_may_add_to_a_manifest() -> None:
    """Unknown entries of a manifest are ignored."""
    text = manifest_to_json(OURS).replace("{", '{"later":1,', 1)
    assert manifest_from_json(text) == OURS


def test_the_command_refuses_and_takes_over(
    command_here: CommandHere, azure: Azure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I try another chunk size: plan and run say no and pay nothing; --take-over does it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AZURE_OPENAI_EMBEDDING_MODEL", "text-embedding-3-small")
    write(tmp_path / "docs/a.pdf", prose("lathes", 12))
    given = ("docs", "--index", "ix", "--workers", "1")
    assert command_here("run", *given)[0] == 0
    paid = len(azure.openai.requests)

    for name in ("plan", "run"):
        code, _, errors = command_here(name, *given, "--chunk-tokens", "64")
        assert code == 2
        assert "INGEST_CHUNK_TOKENS=512, not 64: this would read 1 document again" in errors
    assert len(azure.openai.requests) == paid

    code, said, _ = command_here("run", *given, "--chunk-tokens", "64", "--take-over")
    assert (code, "1 changed" in said) == (0, True)
