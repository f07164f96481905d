"""`python -m hsmgate` is the `hsmgate` command."""

import sys

from hsmgate.cli import main

sys.exit(main())
