"""`python -m imagen_nb` is the command `imagen-nb`."""

import sys

from imagen_nb.cli import main

if __name__ == "__main__":
    sys.exit(main())
