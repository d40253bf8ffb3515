"""`python -m ingest`. Child processes import this file too, so it must do nothing then."""

import sys

if __name__ == "__main__":
    from ingest.cli import main

    sys.exit(main())
