"""``python -m sft_ref``, the same as ``sft-ref``."""

import sys

from sft_ref.cli.main import main

sys.exit(main())
