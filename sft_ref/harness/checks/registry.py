"""Registry of all checks by id, for every kind of target."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from sft_ref.errors import SftRefError
from sft_ref.harness.core.check import Check, in_order
from sft_ref.io.reading import shortened

from . import adapter, dataset, gguf, in_process, merged, submission

KINDS: Mapping[str, tuple[Check, ...]] = MappingProxyType(
    {
        "object": in_process.CHECKS,
        "submission": submission.CHECKS,
        "adapter": adapter.CHECKS,
        "merged": merged.CHECKS,
        "dataset": dataset.CHECKS,
        "gguf": gguf.CHECKS,
    }
)
"""Kind of target -> its checks."""

ALL: tuple[Check, ...] = in_order(dict.fromkeys(each for checks in KINDS.values() for each in checks))
"""The checks of all kinds of targets, each once; a shared check belongs to several kinds."""


def kinds_of(each: Check) -> str:
    """Returns the kinds of targets that a check applies to, separated by commas."""
    return ", ".join(kind for kind, checks in KINDS.items() if each in checks)


def ids_of(checks: Iterable[Check]) -> dict[str, str]:
    """Maps the id and the aliases of each check to its id."""
    return {name: each.id for each in checks for name in (each.id, *each.aliases)}


IDS: Mapping[str, str] = MappingProxyType(ids_of(ALL))
"""Every id or alias that a user may give -> the id of the check."""


def resolve_ids(ids: Sequence[str]) -> tuple[str, ...]:
    """Replaces aliases by the ids of their checks, and removes duplicates.

    Raises:
        SftRefError: an id is unknown.
    """
    if unknown := set(ids) - IDS.keys():
        raise SftRefError(f"no check named {shortened(', '.join(sorted(unknown)))}; `sft-ref checks` lists them")
    return tuple(dict.fromkeys(IDS[name] for name in ids))


def choose_checks(ids: Sequence[str]) -> list[Check]:
    """Returns the checks with these ids or aliases, in order; all checks if no id is given.

    Raises:
        SftRefError: an id is unknown.
    """
    chosen = resolve_ids(ids)
    return [each for each in ALL if not ids or each.id in chosen]
