"""Measures the size of an artifact, and defines size limits, such as those of a course.

Without a limit, a size is only reported and fails no check.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace

from sft_ref.errors import SftRefError
from sft_ref.io.reading import shortened


@dataclass(frozen=True)
class SizeLimits:
    """Size limits; None is no limit.

    Attributes:
        adapter: bytes of the adapter's tensors.
        bundle: bytes of all files in the adapter folder.
        parameters: number of parameters of the model with its adapter.
    """

    adapter: int | None = None
    bundle: int | None = None
    parameters: int | None = None

    def __bool__(self) -> bool:
        """Returns whether any limit is set."""
        return bool(self.words)

    @property
    def words(self) -> tuple[str, ...]:
        """The limits in the format of `--limit`."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return tuple(f"{name}={value}" for name, value in values.items() if value is not None)


UNLIMITED = SizeLimits()
COURSE = SizeLimits(adapter=20_000_000, bundle=50_000_000, parameters=380_000_000)
"""Limits in the rubric of the course that `docs/story.md` comes from: `--profile course`."""

_LONGEST = 40
"""Maximum number of characters of a size."""
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)\s*([kMGT]?)(i?)B?", re.IGNORECASE)


def read_limits(words: Iterable[str], limits: SizeLimits = UNLIMITED) -> SizeLimits:
    """Parses limits such as ``adapter=20MB`` or ``parameters=380M``, which replace those in `limits`.

    Raises:
        SftRefError: a word is not a valid limit.
    """
    names = [each.name for each in fields(SizeLimits)]
    for word in words:
        name, _, size = word.partition("=")
        found = _NUMBER.fullmatch(size.strip())
        if name.strip() not in names or not found or len(size) > _LONGEST:
            raise SftRefError(
                f"--limit {shortened(word)}: write {', '.join(names)}, an equals sign and a size, such as adapter=20MB"
            )
        number, prefix, binary = found.groups()
        factor = (1024 if binary else 1000) ** " kmgt".index(prefix.lower() or " ")
        limits = replace(limits, **{name.strip(): round(float(number) * factor)})
    return limits


@dataclass(frozen=True)
class Size:
    """Bytes of the adapter, bytes of all files, and number of parameters of model and adapter, for the named model."""

    adapter: int
    bundle: int
    parameters: int

    def __str__(self) -> str:
        return (
            f"adapter {self.adapter / 1e6:.3g} MB, all files {self.bundle / 1e6:.3g} MB, "
            f"{self.parameters / 1e6:.4g} million parameters with the adapter"
        )

    def excess(self, limits: SizeLimits, *names: str) -> tuple[str, str] | None:
        """Returns the measured and the allowed size for the first exceeded limit, or None.

        Args:
            limits: the allowed sizes.
            names: names of the limits to test; empty tests all.
        """
        for name, unit in _UNITS.items():
            found, allowed = getattr(self, name), getattr(limits, name)
            if (not names or name in names) and allowed is not None and found > allowed:
                return f"{found:,} {unit}", f"{allowed:,}"
        return None


_UNITS = {"adapter": "bytes of adapter", "bundle": "bytes in all", "parameters": "parameters"}
