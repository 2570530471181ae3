"""Reads and measures the tensors of safetensors files in small pieces: memory does not grow with file size.

The files are not memory-mapped, since mapped pages that were read count as memory of the process.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import torch

from sft_ref.harness.evidence.views import TensorValues
from sft_ref.io.reading import UnreadableError, open_plain
from sft_ref.io.tensor_headers import TensorHeader

_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "U8": torch.uint8,
    "I8": torch.int8,
}

_PIECE = 2**21
"""Number of values read at a time."""


def pieces_of(header: TensorHeader, numbers: int = _PIECE) -> Iterator[torch.Tensor]:
    """Yields a tensor in flat pieces of at most `numbers` values, in its stored dtype.

    Raises:
        UnreadableError: the file is shorter than its header states, or its dtype is not supported.
    """
    if header.dtype not in _DTYPES:
        raise UnreadableError(f"tensors of {header.dtype} cannot be read")
    dtype = _DTYPES[header.dtype]
    left = math.prod(header.shape)
    with open_plain(header.file) as file:
        file.seek(header.begin)
        while left > 0:
            content = bytearray(min(left, numbers) * dtype.itemsize)
            if file.readinto(content) != len(content):  # type: ignore[attr-defined]  # a buffered file has it
                raise UnreadableError(f"{header.file.name} is cut short")
            yield torch.frombuffer(content, dtype=dtype)
            left -= numbers


def read_tensor(header: TensorHeader) -> torch.Tensor:
    """Reads a whole tensor, in its stored dtype.

    Raises:
        UnreadableError: as for `pieces_of`.
    """
    numbers = math.prod(header.shape)
    empty = torch.empty(0, dtype=_DTYPES.get(header.dtype, torch.float32))
    return next(pieces_of(header, numbers), empty).reshape(header.shape)


class StoredTensors(Mapping[str, torch.Tensor]):
    """The tensors of safetensors files by name; each is read on access, and not kept.

    Args:
        headers: headers of the tensors.
    """

    def __init__(self, headers: Mapping[str, TensorHeader]) -> None:
        self.headers = headers

    def __getitem__(self, name: str) -> torch.Tensor:
        """Raises UnreadableError as `pieces_of` does."""
        return read_tensor(self.headers[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.headers)

    def __len__(self) -> int:
        return len(self.headers)


def measure(headers: Mapping[str, TensorHeader]) -> dict[str, TensorValues]:
    """Counts the non-finite numbers of each tensor, and finds the largest absolute value of the others.

    Raises:
        UnreadableError: as for `pieces_of`.
    """
    return {name: _measure(header) for name, header in headers.items()}


def norm_of(header: TensorHeader) -> float:
    """Computes the Frobenius norm of a tensor.

    Raises:
        UnreadableError: as for `pieces_of`.
    """
    return math.hypot(*(piece.float().norm().item() for piece in pieces_of(header)))


def _measure(header: TensorHeader) -> TensorValues:
    nonfinite, largest = 0, 0.0
    for piece in pieces_of(header):
        numbers = piece if piece.dtype in (torch.float32, torch.float16, torch.bfloat16) else piece.float()
        low, high = (each.item() for each in torch.aminmax(numbers))  # both are NaN if any number is
        if not math.isfinite(high - low):
            finite = numbers[numbers.isfinite()]
            nonfinite += numbers.numel() - finite.numel()
            low, high = (each.item() for each in torch.aminmax(finite)) if finite.numel() else (0.0, 0.0)
        largest = max(largest, -low, high)
    return TensorValues(nonfinite, largest)
