"""Command of the emulator: serve as its options say, and report what was served."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ingest.errors import ConfigError
from ingest.extract.ocr.local import check_installed, recognise
from tests.emulator.emulator import Azure, run_emulator
from tests.emulator.identity import COGNITIVE_USER
from tests.emulator.live import apply_recording, read_recording
from tests.emulator.openai import Deployment
from tests.emulator.vectors import Embed, Vectors, hash_texts, normalize_rows
from tests.scans import read


def serve(options: argparse.Namespace) -> int:
    """Serve until ^C or SIGTERM."""
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    embed, dimensions = choose_model(options.vectors)
    kind = Deployment("text-embedding-3-small", dimensions)
    with run_emulator(embed=embed, model=kind, dimensions=dimensions, index=options.index) as azure:
        configure(azure, options)
        azure.environment["INGEST_OCR"] = azure.ocr_endpoint
        if options.blobs:
            azure.environment["INGEST_ROOT"] = fill_container(azure, options.blobs)
        lines = "".join(f"export {k}={shlex.quote(v)}\n" for k, v in azure.environment.items())
        if options.write:
            options.write.write_text(lines)
        else:
            sys.stdout.write(lines)
            sys.stdout.flush()
        sys.stderr.write("# Serving; ^C ends it.\n")
        stopped.wait()
        report(azure)
    return 0


def configure(azure: Azure, options: argparse.Namespace) -> None:
    """Turn the knobs as the command line says."""
    azure.identity.default.grant(COGNITIVE_USER)
    azure.openai.latency = azure.search.latency = azure.blob.latency = options.latency
    azure.ocr.latency = options.latency
    azure.ocr.read = choose_reader()
    azure.openai.tpm, azure.openai.rpm = options.tpm, options.rpm
    azure.openai.out_of_order = True
    azure.search.delays.search = azure.search.delays.lookup = options.visible
    if options.live:
        apply_recording(azure, read_recording(options.live))
    azure.faults.randomly(
        options.faults, options.seed, services=("openai", "search", "blob", "ocr")
    )


def choose_reader() -> Callable[[Image.Image], str]:
    """Local OCR engine, if it is installed."""
    try:
        check_installed()
    except ConfigError:
        sys.stderr.write(
            "# Scans have no text here: ./scripts/environment ocr installs a reader.\n"
        )
        return read
    return read_image


def read_image(picture: Image.Image) -> str:
    """Text of an image, by the local OCR engine."""
    return read(picture) or recognise(np.asarray(picture.convert("L"))).text


def fill_container(azure: Azure, folder: Path) -> str:
    """The URL of a container that has the files of a folder."""
    for path in folder.rglob("*"):
        if path.is_file():
            azure.blob.put("docs", path.relative_to(folder).as_posix(), path.read_bytes())
    return f"{azure.blob_endpoint}/docs"


def choose_model(name: str) -> tuple[Embed, int]:
    """Embedding function and its dimensions."""
    if name == "hash":
        return hash_texts, 1536
    from ingest.embed.minilm import MINILM_DIMENSIONS, embed

    def shortened(texts: Sequence[str], dimensions: int) -> Vectors:
        return normalize_rows(embed(texts)[:, :dimensions])

    return shortened, MINILM_DIMENSIONS


def report(azure: Azure) -> None:
    """Say what was served."""
    requests = azure.openai.requests
    sys.stderr.write(
        f"# {len(requests)} requests embedded {sum(len(r.inputs) for r in requests)} texts of "
        f"{sum(r.tokens for r in requests)} tokens; {len(azure.search.batches)} batches of "
        f"{sum(len(b.actions) for b in azure.search.batches)} actions; "
        f"{azure.ocr.billed.total()} pages recognised; "
        f"{azure.identity.requests} tokens asked for; {len(azure.faults.happened)} faults\n"
    )
