"""``python -m rollback_lib``."""

import sys

from rollback_lib.cli import main

sys.exit(main())
