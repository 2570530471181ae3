"""Rows in Parquet files and in folders that `datasets` saved; without the extra, one line says what to install."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from sft_ref.cli.main import main
from sft_ref.errors import DataError, SftRefError
from sft_ref.harness.grading.kinds import find_kind
from sft_ref.harness.grading.targets import find_targets
from sft_ref.harness.recorders.folder.answers import read_row, read_rows
from sft_ref.io.rows.tables import is_saved_dataset

from .conftest import chat

ROWS: list[Any] = [chat("Who?", "Me.", system="s"), chat("One?", "1", "Two?", "2")]


def as_parquet(rows: list[Any], path: Path) -> Path:
    pyarrow = pytest.importorskip("pyarrow", reason="the extra datasets is not installed: nox -s tables")
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


def as_folder(rows: list[Any], path: Path, *splits: str) -> Path:
    datasets = pytest.importorskip("datasets", reason="the extra datasets is not installed: nox -s tables")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what it pickles to make a fingerprint
        made = datasets.Dataset.from_list(rows)
        (datasets.DatasetDict(dict.fromkeys(splits, made)) if splits else made).save_to_disk(str(path))
    return path


@pytest.mark.parametrize("kind", ["parquet", "folder", "one split"])
def test_a_table_holds_the_rows_of_its_json(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rows.json").write_text(json.dumps(ROWS))
    if kind == "parquet":
        path = as_parquet(ROWS, tmp_path / "rows.parquet")
    else:
        path = as_folder(ROWS, tmp_path / "rows", *(["train"] if kind == "one split" else []))
    assert read_rows(path) == read_rows(tmp_path / "rows.json")
    assert find_targets([str(path)]).targets == (str(path),)
    assert find_kind(str(path)) == ("dataset", path)
    assert main(["grade", str(path), "--base", "toy"]) == 0
    assert "SOUND" in capsys.readouterr().out


def test_columns_that_a_row_lacks_are_no_form_of_it(tmp_path: Path) -> None:
    path = as_parquet([{"prompt": "a\n", "completion": "b", "messages": None}, *ROWS], tmp_path / "rows.parquet")
    assert [row.question for row in read_rows(path)] == ["a\n", "Who?", "Two?"]


def test_a_bad_row_of_a_table_is_named_by_its_number(tmp_path: Path) -> None:
    path = as_parquet([*ROWS, {"messages": [{"role": "user", "content": "a"}]}], tmp_path / "rows.parquet")
    with pytest.raises(DataError, match="row 3 has no assistant turn"):
        read_rows(path)
    assert read_row(path, 2)[0].answer == "2"


def test_of_several_splits_one_has_to_be_named(tmp_path: Path) -> None:
    path = as_folder(ROWS, tmp_path / "rows", "train", "test")
    with pytest.raises(
        DataError, match=r"it holds 2 splits \(test, train\), but only one can be read: give its folder"
    ):
        read_rows(path)
    assert len(read_rows(path / "test")) == 2


def test_a_damaged_table_is_refused_in_one_line(tmp_path: Path) -> None:
    path = as_parquet(ROWS, tmp_path / "rows.parquet")
    path.write_bytes(path.read_bytes()[:-20])
    folder = as_folder(ROWS, tmp_path / "rows")
    for each in folder.glob("*.arrow"):
        each.write_bytes(b"x" * 100)
    for broken in (path, folder):
        with pytest.raises(DataError, match=r"rows(\.parquet)?: cannot be read \(it is no") as error:
            read_rows(broken)
        assert "\n" not in str(error.value)


def test_without_the_extra_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("pyarrow", "datasets"):
        monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / "rows.parquet").write_bytes(b"PAR1")
    folder = tmp_path / "rows"
    folder.mkdir()
    for name in ("state.json", "dataset_info.json"):
        (folder / name).write_text("{}")
    assert is_saved_dataset(folder)
    for path in (tmp_path / "rows.parquet", folder):
        with pytest.raises(SftRefError, match=r"needs the extra `datasets`, .* pip install 'sft-ref\[datasets\]'"):
            read_rows(path)


def test_a_table_that_is_not_there_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="the extra datasets is not installed: nox -s tables")
    with pytest.raises(DataError, match="No such file"):
        read_rows(tmp_path / "none.parquet")
