"""Reads and writes the baseline of an adapter's sweep, a JSON file of figures, and compares new figures with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from sft_ref.io.atomic_write import write_atomic
from sft_ref.io.reading import Refusal, read_bytes, read_json
from sft_ref.io.strict_json import to_text
from sft_ref.reference.bases.find import fingerprint_base
from sft_ref.reference.fingerprints import digest, fingerprint_adapter, library_versions
from sft_ref.sweep.baseline import BaselineDifference, BaselineError
from sft_ref.sweep.run import device_name
from sft_ref.sweep.tolerances import TOLERANCES, Tolerance

from .figures import WayFigures
from .loading import StoredAdapter
from .run import AdapterPlan

_OWN = ("verdict", "dtypes", "finite", "parity", "top1", "loss")
COMPARED_TOLERANCES = (
    *(tolerance for tolerance in TOLERANCES if tolerance.quantity in _OWN),
    Tolerance("right", "apart", 0.05, "rounding turns a near tie in an answer in a hundred"),
)
"""Tolerances of the figures that are compared."""

_REFUSAL = Refusal(BaselineError, "make it again with --update")


class WayBaseline(msgspec.Struct):
    """The figures of a sweep by the names of the ways, and the conditions under which they are comparable."""

    conditions: dict[str, str]
    ways: dict[str, dict[str, Any]]
    versions: dict[str, str]


def conditions(plan: AdapterPlan, adapter: StoredAdapter) -> dict[str, str]:
    """Returns the conditions that must be equal for figures to be comparable; package versions may differ."""
    return {
        "adapter": fingerprint_adapter(adapter.tensors),
        "configuration": digest(msgspec.json.encode(adapter.config, order="deterministic").decode()),
        "base": fingerprint_base(adapter.base),
        "data": digest(read_bytes(plan.data, _REFUSAL).hex()),
        "prompt": digest([plan.prompt, plan.chat_template]),
        "first way to load": plan.load[0],
        "device": device_name(),
    }


def write(path: Path, conditions: dict[str, str], found: Sequence[WayFigures]) -> None:
    """Writes a baseline; omits the answers, because questions may be private."""
    ways = {
        each.load: {tolerance.quantity: each.to_json()[tolerance.quantity] for tolerance in COMPARED_TOLERANCES}
        for each in found
    }
    content = {"conditions": conditions, "versions": library_versions(), "ways": ways}
    write_atomic(path, f"{to_text(content)}\n")


def read(path: Path, conditions: dict[str, str]) -> WayBaseline:
    """Reads a baseline.

    Raises:
        BaselineError: the baseline cannot be read, or was made under other conditions.
    """
    found = read_json(path, WayBaseline, _REFUSAL)
    if changed := [name for name, value in conditions.items() if found.conditions.get(name) != value]:
        raise BaselineError(f"baseline {path} was made with another {', '.join(changed)}; make it again with --update")
    return found


def differences(golden: WayBaseline, found: Sequence[WayFigures]) -> Iterator[BaselineDifference]:
    """Yields figures that differ by more than their tolerance; a way to load without a baseline is one difference."""
    for each in found:
        was, now = golden.ways.get(each.load), each.to_json()
        if was is None:
            yield BaselineDifference(
                (each.load, each.load), "baseline", None, now["verdict"], "none", "the baseline lacks this way"
            )
            continue
        unmeasured = [row["verdict"] == "not run" for row in (was, now)]
        tolerances = COMPARED_TOLERANCES[:1] if any(unmeasured) else COMPARED_TOLERANCES
        for tolerance in tolerances:
            if tolerance.moved(was.get(tolerance.quantity), now[tolerance.quantity]):
                pair = (each.load, each.load)
                yield BaselineDifference(
                    pair,
                    tolerance.quantity,
                    was.get(tolerance.quantity),
                    now[tolerance.quantity],
                    tolerance.limit(),
                    tolerance.why,
                )
