from __future__ import annotations

import os
import resource
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sft_ref.io import plain_files
from sft_ref.io.plain_files import FileLimits, LeftOut, copy_folder, walk


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Path]:
    """A folder that foreign code wrote, beside a folder of the host with one file."""
    (tmp_path / "host").mkdir()
    (tmp_path / "host" / "file").write_text("ours")
    (tmp_path / "work").mkdir()
    yield tmp_path / "work"
    assert (tmp_path / "host" / "file").read_text() == "ours"
    assert names(tmp_path / "host") == ["file"]
    plain_files.remove(tmp_path / "work")
    plain_files.remove(tmp_path / "copy")
    assert names(tmp_path) == ["host"]


def names(folder: Path) -> list[str]:
    """What a folder lists."""
    return sorted(path.name for path in folder.iterdir())


def copied(work: Path, limits: FileLimits = plain_files.LIMITS, within: tuple[str, ...] = ()) -> tuple[set[str], str]:
    """Names of the files of a copy, and the lines on what it lacks."""
    copy = work.parent / "copy"
    lines = copy_folder(work, within, copy, limits).lines()
    return {str(path.relative_to(copy)) for path in copy.rglob("*") if path.is_file()}, "\n".join(lines)


def nest(folder: Path, depth: int) -> None:
    """So many folders within one another, the last one with a file."""
    here = Path.cwd()
    os.chdir(folder)
    try:
        for _ in range(depth):
            Path("deep").mkdir()
            os.chdir("deep")
        Path("file").touch()
    finally:
        os.chdir(here)


def test_plain_files_are_copied_with_their_bytes(work: Path) -> None:
    (work / "a" / "b").mkdir(parents=True)
    content = b"first" + bytes(3 * 2**20) + b"last" + bytes(10)
    (work / "a" / "b" / "file").write_bytes(content)
    assert copied(work) == ({"a/b/file"}, "")
    assert (work.parent / "copy" / "a" / "b" / "file").read_bytes() == content


def test_a_sparse_file_stays_sparse_and_counts_with_its_length(work: Path) -> None:
    for name in ("one", "two"):
        with (work / name).open("wb") as file:
            file.truncate(100 * 2**20)
    found, lines = copied(work, FileLimits(total=150 * 2**20))
    assert found == {"one"}
    assert "files beyond the first" in lines
    copy = (work.parent / "copy" / "one").stat()
    assert copy.st_size == 100 * 2**20
    assert copy.st_blocks * 512 < 2**20
    assert copied(work, FileLimits(file=2**20))[0] == set()


@pytest.mark.parametrize("target", ["../host", "../host/file", "loop", "nowhere", "/proc/self/root"])
def test_links_are_not_followed(work: Path, target: str) -> None:
    (work / "loop").symlink_to(target)
    assert copied(work) == (set(), "not read: 1 links, such as 'loop'")
    assert plain_files.list_files(work) == []


def test_a_link_on_the_way_is_not_followed(work: Path) -> None:
    (work / "out").symlink_to(work.parent / "host")
    found, lines = copied(work, within=("out",))
    assert not found
    assert "cannot be listed" in lines
    with pytest.raises(NotADirectoryError):
        plain_files.open_file(work, ("out", "file"))
    assert plain_files.hash_file(work, ("out", "file")) == ""
    plain_files.make_folder(work, ("out", "inner"))
    assert (work / "out" / "inner").is_dir()
    assert not (work / "out").is_symlink()


def test_removing_a_link_leaves_what_it_leads_to(work: Path) -> None:
    (work / "out").symlink_to(work.parent / "host")
    plain_files.remove(work / "out")
    assert not (work / "out").is_symlink()


def test_special_files_are_not_waited_for(work: Path) -> None:
    os.mkfifo(work / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(work / "socket"))
    assert copied(work) == (set(), "not read: 2 pipes, sockets or devices, such as 'pipe'")
    with pytest.raises(OSError, match="regular"):
        plain_files.open_file(work, ("pipe",))


def test_folders_too_deep_for_any_path_are_left_out_and_removed(work: Path) -> None:
    nest(work, 3000)
    found, lines = copied(work)
    assert not found
    assert "folders more than 32 deep" in lines


def test_folders_whose_names_are_too_long_together_are_left_out(work: Path) -> None:
    (work / "file").touch()
    folder = os.open(work, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("n" * 250, dir_fd=folder)
        inner = os.open("n" * 250, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(folder)
    found, lines = copied(work)
    assert found == {"file"}
    assert "paths that are too long" in lines


def test_a_copy_that_cannot_be_written_is_no_fault_of_what_is_copied(work: Path) -> None:
    (work / "file").write_bytes(bytes([1]) * 2**20)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            copied(work)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_the_shallowest_files_come_first_where_there_are_too_many(work: Path) -> None:
    (work / "a").mkdir()
    for number in range(100):
        (work / "a" / str(number)).touch()
    (work / "wanted").touch()
    found, lines = copied(work, FileLimits(entries=10))
    assert "wanted" in found
    assert len(found) == 9
    assert "more entries than the limit" in lines


def test_what_stands_in_the_way_of_a_folder_is_removed(work: Path) -> None:
    for make in (os.mkfifo, lambda path: Path(path).touch(), lambda path: Path(path).symlink_to("../host")):
        plain_files.remove(work / "a")
        make(work / "a")
        assert plain_files.make_folder(work, ("a", "b")) == work / "a" / "b"
        assert (work / "a" / "b").is_dir()


def test_files_of_ours_replace_links_and_folders_of_the_same_name(work: Path) -> None:
    ours = work.parent / "ours"
    ours.mkdir()
    (ours / "config").write_text("ours")
    (ours / "weights").write_text("ours")
    (work / "model").mkdir()
    (work / "model" / "config").symlink_to("../../host/file")
    (work / "model" / "weights").mkdir()
    (work / "model" / "kept").touch()
    plain_files.put_files(ours, work, ("model",))
    assert names(work / "model") == ["config", "kept", "weights"]
    assert (work / "model" / "config").read_text() == "ours"
    assert not (work / "model" / "config").is_symlink()
    plain_files.remove(ours)


def test_closed_folders_are_removed(work: Path) -> None:
    (work / "a" / "b").mkdir(parents=True)
    (work / "a" / "b" / "file").touch()
    (work / "a" / "b").chmod(0)
    (work / "a").chmod(0)


def test_a_scratch_folder_is_gone_whatever_is_left_in_it() -> None:
    with plain_files.scratch_folder() as folder:
        nest(folder, 1200)
        os.mkfifo(folder / "pipe")
        assert "sft" not in folder.name
    assert not folder.exists()


def test_pruned_folders_are_not_entered(work: Path) -> None:
    for name in ("a", "b"):
        (work / name).mkdir()
        (work / name / "file").touch()
    seen = []
    for entries in walk(work, LeftOut()):
        entries[:] = [entry for entry in entries if entry.parts[-1] != "a"]
        seen += ["/".join(entry.parts) for entry in entries]
    assert seen == ["b", "b/file"]


TREES = st.recursive(
    st.sampled_from(["file", "pipe", "link out", "link in", "loop"]),
    lambda inner: st.dictionaries(st.sampled_from("abcd"), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=60, deadline=None)
@given(tree=st.dictionaries(st.sampled_from("abcd"), TREES, max_size=4))
def test_any_tree_is_copied_without_what_is_not_plain(tree: dict[str, object]) -> None:
    with plain_files.scratch_folder() as folder:
        (folder / "host").mkdir()
        (folder / "host" / "file").touch()
        (folder / "work").mkdir()
        due = plant(folder / "work", tree, folder / "host")
        copy_folder(folder / "work", (), folder / "copy")
        found = {path.relative_to(folder / "copy") for path in (folder / "copy").rglob("*") if not path.is_dir()}
        assert found == {path.relative_to(folder / "work") for path in due}
        plain_files.remove(folder / "work")
        assert names(folder / "host") == ["file"]
        assert names(folder) == ["copy", "host"]


def plant(folder: Path, tree: dict[str, object], host: Path) -> list[Path]:
    """Makes what a tree describes, and gives its plain files."""
    plain = []
    for name, kind in tree.items():
        path = folder / name
        if isinstance(kind, dict):
            path.mkdir()
            plain += plant(path, kind, host)
        elif kind == "file":
            path.write_text(name)
            plain.append(path)
        elif kind == "pipe":
            os.mkfifo(path)
        else:
            path.symlink_to({"link out": host, "link in": folder, "loop": path}[str(kind)])
    return plain
