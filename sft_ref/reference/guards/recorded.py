"""Refuses an adapter, a base or a loaded model that is not what the record beside the adapter says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sft_ref.errors import AdapterError, PrecisionMismatchError

from .dtypes import Dtypes


def check_same_parts(
    folder: Path, trained: Mapping[str, str], found: Mapping[str, str], bases: tuple[str, str]
) -> None:
    """Refuses another base, tokenizer or prompt format than the adapter was trained with.

    Args:
        folder: of the adapter.
        trained: fingerprints by the name of the part, as recorded.
        found: fingerprints of what is at hand.
        bases: names of the base that was trained on, and of the one at hand.

    Raises:
        AdapterError: a part differs.
    """
    for part, fingerprint in found.items():
        if (recorded := trained.get(part)) != fingerprint:
            raise AdapterError(
                f"{folder}: was trained with another {part} (base {bases[0]!r}, {part} {str(recorded)[:8]}) than the"
                f" one at hand (base {bases[1]!r}, {part} {fingerprint[:8]}); give the base it was trained on"
            )


def check_same_dtypes(folder: Path, trained: Dtypes, found: Dtypes) -> None:
    """Refuses a loaded model of which any tensor has another dtype than when it was trained.

    Raises:
        PrecisionMismatchError: one has; the message names the first.
    """
    for kind, name, dtype in [(k, n, d) for k, names in trained.items() for n, d in names.items()]:
        if kind == "buffer" and name not in found[kind]:
            continue  # which buffers a model has changes with the version of transformers
        loaded = found.get(kind, {}).get(name)
        if loaded != dtype:
            raise PrecisionMismatchError(
                f"{folder}: {kind} tensor {name} was trained in {dtype} and is loaded in {loaded}"
            )
