"""`python -m dfd`, for torchrun and for a Python whose scripts are not on the PATH."""

import sys

from dfd.cli import main

if __name__ == "__main__":
    sys.exit(main())
