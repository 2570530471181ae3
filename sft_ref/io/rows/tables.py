"""Reads rows of Parquet files and of folders saved by `datasets`. Needs the extra `datasets`; executes nothing."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from sft_ref.errors import SftRefError
from sft_ref.io.foreign import first_line, is_failure
from sft_ref.io.reading import MOST_BYTES, UnreadableError, kind_of, open_plain

PARQUET = ".parquet"
_SPLITS, _STATE, _INFO = "dataset_dict.json", "state.json", "dataset_info.json"


def is_saved_dataset(path: Path) -> bool:
    """Returns whether a path is a folder written by `save_to_disk` of `datasets`: one data set, or several splits."""
    names = [name for name in (_SPLITS, _STATE, _INFO) if kind_of(path / name) == "file"]
    return _SPLITS in names or {_STATE, _INFO} <= {*names}


def read_parquet(path: Path) -> list[dict[str, Any]]:
    """Returns the rows of a Parquet file, each a dict of its columns by name.

    Raises:
        UnreadableError: the file cannot be read, or is too large.
        SftRefError: the extra is not installed.
    """
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise _missing(path) from error
    with open_plain(path) as file:
        try:
            table = parquet.ParquetFile(file)
            groups = (table.metadata.row_group(number) for number in range(table.metadata.num_row_groups))
            _check_size(sum(group.total_byte_size for group in groups))
            rows: list[dict[str, Any]] = table.read().to_pylist()
        except UnreadableError:
            raise
        except BaseException as error:
            raise _unreadable(error, "Parquet file") from error
    return rows


def read_saved_dataset(folder: Path) -> list[dict[str, Any]]:
    """Returns the rows of a folder saved by `datasets`, each a dict of its columns by name.

    Raises:
        UnreadableError: the folder cannot be read, is too large, or does not have exactly one split.
        SftRefError: the extra is not installed.
    """
    try:
        from datasets import load_from_disk
    except ImportError as error:
        raise _missing(folder) from error
    if kind_of(folder / _SPLITS) == "file":
        splits = sorted(path.name for path in folder.iterdir() if is_saved_dataset(path))
        if len(splits) != 1:
            listed = ", ".join(splits) or "none that can be read"
            raise UnreadableError(
                f"it holds {len(splits)} splits ({listed}), but only one can be read: give its folder"
            )
        folder /= splits[0]
    _check_size(sum(path.stat().st_size for path in folder.glob("*.arrow")))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rows: list[dict[str, Any]] = load_from_disk(str(folder)).to_list()
    except BaseException as error:
        raise _unreadable(error, "data set") from error
    return rows


def _check_size(size: int) -> None:
    if size > MOST_BYTES:
        raise UnreadableError(f"it is larger than {MOST_BYTES // 2**20} MB")


def _unreadable(error: BaseException, what: str) -> UnreadableError:
    """Returns the error for a file that made the library fail in any way; re-raises a request to exit."""
    if not is_failure(error):
        raise error
    return UnreadableError(f"it is not a {what}: {first_line(error)}")


def _missing(path: Path) -> SftRefError:
    return SftRefError(
        f"{path}: needs the extra `datasets`, which is not installed: pip install 'sft-ref[datasets]', or give JSON"
    )
