"""The emulator as a command: for trying `ingest` on Azure without Azure."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

CHOICES = ("local", "hash")


def main() -> int:
    """Serve until ^C or SIGTERM."""
    options = parser().parse_args()
    from tests.azure.command import serve  # whose packages --help must not wait for

    return serve(options)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser("scripts/azure-emulator", description=__doc__)
    made.add_argument("--write", type=Path, metavar="FILE", help="the export lines, not printed")
    made.add_argument("--vectors", choices=CHOICES, default="local", help="what embeds")
    made.add_argument("--index", default="chunks", metavar="NAME", help="for AZURE_SEARCH_INDEX")
    made.add_argument("--blobs", type=Path, metavar="FOLDER", help="for a container; INGEST_ROOT")
    made.add_argument("--latency", type=float, default=0.0, metavar="SECONDS", help="of an answer")
    made.add_argument("--visible", type=float, default=0.0, metavar="SECONDS", help="until found")
    made.add_argument("--tpm", type=int, metavar="N", help="tokens a minute")
    made.add_argument("--rpm", type=int, metavar="N", help="requests a minute")
    made.add_argument("--faults", type=float, default=0.0, metavar="RATE", help="from 0 to 1")
    made.add_argument("--seed", type=int, default=0, metavar="N", help="of the faults")
    return made


if __name__ == "__main__":
    sys.exit(main())
