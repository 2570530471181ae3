"""The size of an artifact, and the limits that a course sets.

Sizes are measurements. They are held against nobody unless a limit is given.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace

from sft_ref.errors import SftRefError
from sft_ref.io.reading import shortened


@dataclass(frozen=True)
class SizeLimits:
    """What is allowed; None is no limit.

    Attributes:
        adapter: bytes of the adapter's tensors.
        bundle: bytes of all files of its folder.
        parameters: of the model with its adapter.
    """

    adapter: int | None = None
    bundle: int | None = None
    parameters: int | None = None

    def __bool__(self) -> bool:
        """Whether there is a limit at all."""
        return bool(self.words)

    @property
    def words(self) -> tuple[str, ...]:
        """As `--limit` takes them."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return tuple(f"{name}={value}" for name, value in values.items() if value is not None)


UNLIMITED = SizeLimits()
COURSE = SizeLimits(adapter=20_000_000, bundle=50_000_000, parameters=380_000_000)
"""The rubric of the course that the story comes from: `--profile course`."""

_LONGEST = 40
"""Characters of a size."""
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)\s*([kMGT]?)(i?)B?", re.IGNORECASE)


def read_limits(words: Iterable[str], limits: SizeLimits = UNLIMITED) -> SizeLimits:
    """Limits with what is written as ``adapter=20MB`` or ``parameters=380M`` put in their place.

    Raises:
        SftRefError: a word is none of these.
    """
    names = [each.name for each in fields(SizeLimits)]
    for word in words:
        name, _, size = word.partition("=")
        found = _NUMBER.fullmatch(size.strip())
        if name.strip() not in names or not found or len(size) > _LONGEST:
            raise SftRefError(
                f"--limit {shortened(word)}: write {', '.join(names)}, an equals sign and a size, as adapter=20MB"
            )
        number, prefix, binary = found.groups()
        factor = (1024 if binary else 1000) ** " kmgt".index(prefix.lower() or " ")
        limits = replace(limits, **{name.strip(): round(float(number) * factor)})
    return limits


@dataclass(frozen=True)
class Size:
    """Bytes of the adapter, bytes of all files, and parameters of model and adapter, on the named model."""

    adapter: int
    bundle: int
    parameters: int

    def __str__(self) -> str:
        return (
            f"adapter {self.adapter / 1e6:.3g} MB, all files {self.bundle / 1e6:.3g} MB, "
            f"{self.parameters / 1e6:.4g} million parameters with the adapter"
        )

    def excess(self, limits: SizeLimits, *names: str) -> tuple[str, str] | None:
        """The first limit that is exceeded: what was measured, and what is allowed.

        Args:
            limits: what is allowed.
            names: of the limits to look at; all where none is named.
        """
        for name, unit in _UNITS.items():
            found, allowed = getattr(self, name), getattr(limits, name)
            if (not names or name in names) and allowed is not None and found > allowed:
                return f"{found:,} {unit}", f"{allowed:,}"
        return None


_UNITS = {"adapter": "bytes of adapter", "bundle": "bytes in all", "parameters": "parameters"}
