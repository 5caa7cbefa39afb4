"""`python -m zoo`."""

import sys

from zoo import cli

if __name__ == "__main__":
    sys.exit(cli.main())
