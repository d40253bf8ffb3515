"""Run the `dask` command in a forked process."""

from __future__ import annotations

import os
import sys

from tests.fork_readers import fork_readers


def run_dask(*arguments: str) -> int:
    """Run the command, with the settings of the environment that the process has now."""
    import dask  # here, since the workers of pytest import this module too
    from dask.__main__ import main
    from distributed.config import initialize_logging

    if "REAL_READERS" not in os.environ:  # set where they are to be children of the worker
        fork_readers()
    dask.config.refresh()
    initialize_logging(dask.config.config)
    sys.argv = ["dask", *arguments]
    main()  # type: ignore[no-untyped-call]
    return 0
