"""Entry point of `python -m ingest`. Child processes import it too: importing must do nothing."""

import sys

if __name__ == "__main__":
    from ingest.cli import main

    sys.exit(main())
