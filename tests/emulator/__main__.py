"""Emulate the Azure services on this machine, to try `ingest` without a subscription."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

CHOICES = ("local", "hash")


def main() -> int:
    """Serve until ^C or SIGTERM."""
    options = parser().parse_args()
    from tests.emulator.command import serve  # whose packages --help must not wait for

    return serve(options)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser("scripts/azure-emulator", description=__doc__)
    made.add_argument(
        "--write",
        type=Path,
        metavar="FILE",
        help="write the variables here instead of printing them",
    )
    made.add_argument(
        "--vectors",
        choices=CHOICES,
        default="local",
        help="embed with the local model, or with meaningless hashes (local)",
    )
    made.add_argument(
        "--index", default="ingest", metavar="NAME", help="value of AZURE_SEARCH_INDEX (ingest)"
    )
    made.add_argument(
        "--blobs",
        type=Path,
        metavar="FOLDER",
        help="serve these PDFs as blobs, and set INGEST_ROOT",
    )
    made.add_argument(
        "--latency", type=float, default=0.0, metavar="SECONDS", help="delay of each response (0)"
    )
    made.add_argument(
        "--visible",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="delay until a search finds what was written (0)",
    )
    made.add_argument(
        "--live",
        type=Path,
        metavar="FILE",
        help="lags, headers and refusals as ingest doctor --live recorded them (docs/live.md)",
    )
    made.add_argument("--tpm", type=int, metavar="N", help="token quota per minute (unlimited)")
    made.add_argument("--rpm", type=int, metavar="N", help="request quota per minute (unlimited)")
    made.add_argument(
        "--faults",
        type=float,
        default=0.0,
        metavar="RATE",
        help="share of requests that fail, from 0 to 1 (0)",
    )
    made.add_argument(
        "--seed", type=int, default=0, metavar="N", help="seed of the random faults (0)"
    )
    return made


if __name__ == "__main__":
    sys.exit(main())
