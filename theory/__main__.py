"""`python -m theory`."""

import sys

from theory import cli

if __name__ == "__main__":
    sys.exit(cli.main())
