from __future__ import annotations

import os
import stat
import struct
import venv
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sft_ref.errors import SubmissionError
from sft_ref.harness.isolation import unpack as module
from sft_ref.harness.isolation.unpack import unpack


def packed(path: Path, **files: str | bytes) -> Path:
    """A zip of files; in their names __ stands for a slash."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__", "/"), text)
    return path


def named(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return path


def files_of(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def refused(path: Path, into: Path, reason: str) -> None:
    with pytest.raises(SubmissionError, match=reason) as raised:
        unpack(path, into)
    assert "\n" not in str(raised.value)
    assert not into.exists(), "nothing half-unpacked is left"
    assert not list(into.parent.glob(f"{into.name}.*"))


def test_a_zip_is_unpacked_with_its_bytes(tmp_path: Path) -> None:
    zipped = packed(tmp_path / "work.zip", homework__sft="a = 1\n", homework__sft_model__adapter=b"\0\1" * 1000)
    assert unpack(zipped, tmp_path / "out") == tmp_path / "out"
    assert (tmp_path / "out" / "homework" / "sft").read_text() == "a = 1\n"
    assert (tmp_path / "out" / "homework" / "sft_model" / "adapter").read_bytes() == b"\0\1" * 1000


def test_a_folder_is_copied_and_left_as_it_was(tmp_path: Path) -> None:
    source = tmp_path / "work"
    (source / "homework").mkdir(parents=True)
    (source / "homework" / "sft.py").write_text("a = 1\n")
    out = unpack(source, tmp_path / "out")
    (out / "homework" / "sft.py").write_text("a = 2\n")
    assert (source / "homework" / "sft.py").read_text() == "a = 1\n"


def test_a_virtual_environment_is_left_out_by_any_name(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "sft.py").touch()
    venv.create(tmp_path / "work" / "environment", symlinks=True)
    assert files_of(unpack(tmp_path / "work", tmp_path / "out")) == {"sft.py"}


def test_a_folder_is_not_copied_into_itself(tmp_path: Path) -> None:
    (tmp_path / "sft.py").touch()
    with pytest.raises(SubmissionError, match="is inside"):
        unpack(tmp_path, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["sft.py"]


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_junk_is_left_out(tmp_path: Path, kind: str) -> None:
    names = ["__MACOSX/._sft.py", "hw/.DS_Store", "hw/.git/config", "hw/__pycache__/sft.pyc", "hw/sft.py", ".env"]
    if kind == "zip":
        source = named(tmp_path / "work.zip", *names)
    else:
        source = tmp_path / "work"
        for name in names:
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_text("x")
    assert files_of(unpack(source, tmp_path / "out")) == {"hw/sft.py", ".env"}


def test_odd_names_and_backslashes_are_no_harm(tmp_path: Path) -> None:
    names = ["hw\\sft.py", "hw\\", "a b'\".py", "ü.py", "Ü.py", "-rf", "a..b", "..."]
    found = files_of(unpack(named(tmp_path / "work.zip", *names), tmp_path / "out"))
    assert found == {"hw/sft.py", "a b'\".py", "ü.py", "Ü.py", "-rf", "a..b", "..."}


@pytest.mark.parametrize("name", ["../out.py", "a/../../out.py", "/root/out.py", "..\\out.py", "C:\\out.py", "C:/x"])
def test_a_path_that_climbs_out_is_refused(tmp_path: Path, name: str) -> None:
    refused(named(tmp_path / "work.zip", "sft.py", name), tmp_path / "out", "outside")
    assert {path.name for path in tmp_path.iterdir()} == {"work.zip"}


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK])
def test_links_and_special_files_in_a_zip_are_refused(tmp_path: Path, kind: int) -> None:
    info = zipfile.ZipInfo("link")
    info.create_system, info.external_attr = 3, (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "work.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    refused(tmp_path / "work.zip", tmp_path / "out", "link or a special file")


@pytest.mark.parametrize("make", [lambda path: path.symlink_to("/etc/passwd"), os.mkfifo])
def test_links_and_special_files_in_a_folder_are_refused(tmp_path: Path, make: object) -> None:
    (tmp_path / "work").mkdir()
    assert callable(make)
    make(tmp_path / "work" / "odd")
    refused(tmp_path / "work", tmp_path / "out", "link or a special file")


def test_a_link_to_a_folder_in_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "etc").symlink_to("/etc")
    refused(tmp_path / "work", tmp_path / "out", "link or a special file")


def test_a_bomb_is_refused_by_what_is_read(tmp_path: Path) -> None:
    zipped = packed(tmp_path / "bomb.zip", zeros=bytes(64 * 2**20))
    assert zipped.stat().st_size < 2**17
    refused(zipped, tmp_path / "out", "bomb")


def test_a_bomb_whose_header_says_that_it_is_small_is_refused(tmp_path: Path) -> None:
    zipped = packed(tmp_path / "bomb.zip", zeros=bytes(64 * 2**20))
    true, false = struct.pack("<I", 64 * 2**20), struct.pack("<I", 100)
    zipped.write_bytes(zipped.read_bytes().replace(true, false))
    refused(zipped, tmp_path / "out", "bomb|damaged")


def test_a_long_file_of_zeros_is_no_bomb(tmp_path: Path) -> None:
    out = unpack(packed(tmp_path / "work.zip", zeros=bytes(2**20)), tmp_path / "out")
    assert (out / "zeros").stat().st_size == 2**20


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FILES", 3)
    refused(named(tmp_path / "work.zip", "a", "b", "c", "d"), tmp_path / "out", "more than 3 files")


def test_a_long_list_of_files_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zipped = named(tmp_path / "work.zip", "sft.py")
    monkeypatch.setattr(module, "NAME", 0)
    monkeypatch.setattr(zipfile, "ZipFile", lambda *_: pytest.fail("the list was read"))
    refused(zipped, tmp_path / "out", "files")


def test_too_many_bytes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BYTES", 1000)
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "big").write_bytes(bytes(1001))
    refused(tmp_path / "work", tmp_path / "out", "more than 1000 bytes")


def test_folders_too_deep_are_refused(tmp_path: Path) -> None:
    refused(named(tmp_path / "work.zip", "a/" * 40 + "sft.py"), tmp_path / "out", "deep")


def test_an_encrypted_file_is_refused(tmp_path: Path) -> None:
    zipped = named(tmp_path / "work.zip", "sft.py")
    data = bytearray(zipped.read_bytes())
    data[6] |= 1  # in the file's own header
    data[data.index(b"PK\1\2") + 8] |= 1  # and in the list
    zipped.write_bytes(data)
    refused(zipped, tmp_path / "out", "encrypted")


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_one_name_twice_is_refused(tmp_path: Path) -> None:
    refused(named(tmp_path / "work.zip", "sft.py", "sft.py"), tmp_path / "out", "twice")


def test_a_file_that_is_also_a_folder_is_refused(tmp_path: Path) -> None:
    refused(named(tmp_path / "work.zip", "a", "a/b"), tmp_path / "out", "cannot be unpacked")


@pytest.mark.parametrize("text", [b"", b"hello", b"PK\5\6"])
def test_what_is_neither_folder_nor_zip_is_refused(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "work.zip").write_bytes(text)
    refused(tmp_path / "work.zip", tmp_path / "out", "neither a folder nor a zip")
    refused(tmp_path / "missing.zip", tmp_path / "out", "neither a folder nor a zip")


def test_an_existing_folder_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(SubmissionError, match="exists already"):
        unpack(named(tmp_path / "work.zip", "sft.py"), tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


@given(position=st.integers(0, 400), byte=st.integers(0, 255))
def test_a_damaged_zip_is_refused_in_one_line_or_unpacked(
    tmp_path_factory: pytest.TempPathFactory, position: int, byte: int
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    zipped = packed(folder / "work.zip", hw__sft="a = 1\n" * 50, hw__cot="b = 2\n")
    data = bytearray(zipped.read_bytes())
    data[position % len(data)] = byte
    zipped.write_bytes(data)
    try:
        unpack(zipped, folder / "out")
    except SubmissionError as error:
        assert "\n" not in str(error)  # noqa: PT017


def test_a_message_does_not_repeat_a_long_name_whole(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "long.zip", "w") as archive:
        archive.writestr("../" + "a" * 5000, "")
    with pytest.raises(SubmissionError, match="outside") as raised:
        unpack(tmp_path / "long.zip", tmp_path / "out")
    assert len(str(raised.value)) < 600
