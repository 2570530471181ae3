"""All checks by their ids: of an implementation in this process, of a submission in its own, and of a bare adapter."""

from __future__ import annotations

from collections.abc import Sequence

from sft_ref.errors import SftRefError
from sft_ref.harness.core.check import Check, in_order
from sft_ref.io.reading import shortened

from . import adapter as bare
from . import in_process as checks
from . import submission as blackbox

ALL: tuple[Check, ...] = in_order((*checks.CHECKS, *blackbox.CHECKS, *bare.CHECKS))


def choose_checks(ids: Sequence[str]) -> list[Check]:
    """The checks with these ids, in order; all where none is given.

    Raises:
        SftRefError: there is no such check.
    """
    if unknown := set(ids) - {each.id for each in ALL}:
        raise SftRefError(f"no check named {shortened(', '.join(sorted(unknown)))}; `sft-ref checks` lists them")
    return [each for each in ALL if not ids or each.id in ids]
