"""``python -m sft_ref``, the same as ``sft-ref``."""

import sys

from .cli import main

sys.exit(main())
