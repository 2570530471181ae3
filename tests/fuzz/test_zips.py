"""A zip is unpacked whole or refused in a line; nothing is written elsewhere, and nothing of a refused one is left."""

from __future__ import annotations

import io
import shutil
import stat
import warnings
import zipfile
from pathlib import Path

from hypothesis import strategies as st

from sft_ref.errors import SubmissionError
from sft_ref.harness.isolation.unpack import unpack

from .conftest import Search
from .strategies import damaged

NAMES = st.one_of(
    st.sampled_from([
        *("a", "a/b", "a/b/c.py", "a/", "A", "./a", "a//b", "a/./b", ".", "..", "../x", "a/../../x", "/x", "//x"),
        *("C:\\x", "a\\..\\..\\x", "\\x", "", " ", "a\0b", "x" * 300, "/".join("d" * 40), "\ud800", "é", "e\u0301"),
        *("__pycache__/x", ".git", "nul", "a:b", "~", "-rf"),
    ]),
    st.text(min_size=1, max_size=8),
)  # fmt: skip
MODES = st.sampled_from([0, stat.S_IFREG | 0o644, stat.S_IFREG, stat.S_IFDIR | 0o755, stat.S_IFLNK | 0o777, 0o170000])
METHODS = st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
CONTENTS = st.binary(max_size=40) | st.integers(0, 20).map(lambda size: bytes(2**21 if size == 13 else size))
ENTRIES = st.tuples(NAMES, MODES, METHODS, CONTENTS, st.integers(0, 2**16 - 1))


@st.composite
def zips(draw: st.DrawFn) -> bytes:
    """A zip with names, kinds and methods as they should not be, then with some of its bytes damaged."""
    packed = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(packed, "w") as archive:
        warnings.simplefilter("ignore")  # of names that stand twice
        for name, mode, method, data, flags in draw(st.lists(ENTRIES, max_size=5)):
            info = zipfile.ZipInfo("x")
            info.filename = name.encode("utf-8", "replace").decode()
            info.create_system, info.external_attr, info.compress_type = 3, mode << 16, method
            archive.writestr(info, data)
            info.flag_bits ^= flags if flags % 7 == 0 else 0
    return draw(damaged(packed.getvalue()) | st.binary(max_size=50))


def test_any_zip_is_unpacked_or_refused(fuzz: Search, scratch: Path) -> None:
    path, into = scratch / "submission.zip", scratch / "into"

    def read(data: bytes) -> None:
        path.write_bytes(data)
        shutil.rmtree(into, ignore_errors=True)
        try:
            unpack(path, into)
        except SubmissionError as error:
            assert not into.exists()
            assert "\n" not in str(error)  # noqa: PT017
        else:
            kinds = {stat.S_IFMT(found.lstat().st_mode) for found in into.rglob("*")}
            assert kinds <= {stat.S_IFREG, stat.S_IFDIR}
        assert {found.name for found in scratch.iterdir()} <= {path.name, into.name}

    fuzz(read, zips())
