"""Run the `dask` command in a forked process."""

from __future__ import annotations

import sys

import dask
from dask.__main__ import main
from distributed.config import initialize_logging


def run_dask(*arguments: str) -> int:
    """Run the command, with the settings of the environment that the process has now."""
    dask.config.refresh()
    initialize_logging(dask.config.config)
    sys.argv = ["dask", *arguments]
    main()  # type: ignore[no-untyped-call]
    return 0
