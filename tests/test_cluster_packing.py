"""What travels to a node of a cluster, and what is refused; needs no Ray."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from functools import partial
from pathlib import Path

import pytest
from cluster_graders import grade_and_log

from sft_ref.cli import main as cli
from sft_ref.cluster.installed import difference, installed
from sft_ref.errors import ClusterError, SftRefError, SubmissionError
from sft_ref.harness.grading.cluster import read_options
from sft_ref.harness.grading.cluster.grading import grade_unpacked
from sft_ref.harness.grading.cluster.options import check_files
from sft_ref.harness.grading.cluster.packing import PackedTarget, pack


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def submission(tmp_path: Path) -> Path:
    folder = tmp_path / "my class" / "alice's"
    (folder / "data" / "ü").mkdir(parents=True)
    (folder / "sft.py").write_bytes(b"x = 1\r\n")
    (folder / "data" / "ü" / "zeros").write_bytes(bytes(2**22))  # as a compressed zip it would be a bomb
    return folder


def test_a_folder_arrives_as_it_was(submission: Path, tmp_path: Path) -> None:
    (submission / ".venv").mkdir()
    (submission / ".venv" / "large").write_text("left out, as a grading leaves it out")
    (there := tmp_path / "there").mkdir()
    arrived = pack(str(submission)).unpack(there)
    assert arrived.name == submission.name
    assert contents(arrived) == {"sft.py": b"x = 1\r\n", "data/ü/zeros": bytes(2**22)}


def test_a_zip_travels_as_it_is_and_nothing_of_it_is_read_here(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04 damaged")
    (there := tmp_path / "there").mkdir()
    assert pack(str(tmp_path / "a.zip")).unpack(there).read_bytes() == b"PK\x03\x04 damaged"
    assert [path.name for path in there.iterdir()] == ["a.zip"]


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda folder: (folder / "link").symlink_to("/etc/passwd"), "link is a link or a special file"),
        (lambda folder: (folder / "\udcff").touch(), "is not UTF-8; rename it, or leave out --ray"),
    ],
    ids=["a link", "a name that no zip holds"],
)
def test_what_cannot_travel_is_one_line(harm: object, message: str, submission: Path) -> None:
    assert callable(harm)
    harm(submission)
    with pytest.raises(SubmissionError, match=message):
        pack(str(submission))


def test_what_is_too_large_stays_here(submission: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sft_ref.harness.grading.cluster.packing.LARGEST", 2**22)
    with pytest.raises(SubmissionError, match="too large to be sent to a node; grade it without --ray"):
        pack(str(submission))


def test_a_hostile_archive_writes_nothing_outside(tmp_path: Path) -> None:
    """A node trusts the bytes that it gets no more than a zip that was handed in."""
    archive = tmp_path / "hostile.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("../escaped", "x")
    (there := tmp_path / "a" / "there").mkdir(parents=True)
    with pytest.raises(SubmissionError, match="would be written outside"):
        PackedTarget("bob", archive.read_bytes(), is_folder=True).unpack(there)
    assert not list(tmp_path.rglob("escaped"))


def test_the_texts_of_a_verdict_name_the_path_that_the_user_gave(submission: Path, tmp_path: Path) -> None:
    grade = partial(grade_and_log, log=tmp_path / "log")
    verdict = grade_unpacked(grade, pack(str(submission)), str(submission))
    assert verdict.path == str(submission)
    assert verdict.notes == (f"{submission}/sft.py holds x = 1\n",)


def test_options_that_name_files_are_compared_by_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("toy").mkdir()  # a base has this name, which comes first
    Path("rows.jsonl").write_text("1")
    Path("a").mkdir()
    given = {"data": Path("rows.jsonl"), "base": "toy", "second_base": "a", "seed": 3, "python": sys.executable}
    options = read_options(["a"], given)
    assert options.keywords == {
        "data": tmp_path / "rows.jsonl",
        "base": "toy",
        "second_base": str(tmp_path / "a"),
        "seed": 3,
    }
    assert options.digests.keys() == {"data", "second_base"}
    check_files(options.digests)
    wrong = {"data": (str(tmp_path / "rows.jsonl"), "0")}
    with pytest.raises(
        ClusterError, match=r"node \S+ does not have the same --data .*rows.jsonl as this machine; put it on a disk"
    ):
        check_files(wrong)
    absent = {"chat_template": (str(tmp_path / "absent"), options.digests["data"][1])}
    with pytest.raises(ClusterError, match="does not have the same --chat-template"):
        check_files(absent)


@pytest.mark.parametrize(
    ("targets", "given", "message"),
    [
        (["reference"], {"is_module": True}, "--ray: reference is not a file or folder"),
        (["my.module:thing"], {}, "--ray: my.module:thing is not a file or folder"),
        (["."], {"judge": "my.module:judge"}, "--judge: works on this machine only; leave out --ray"),
        (["."], {"save_evidence": Path("e.safetensors")}, "--save-evidence: works on this machine only"),
    ],
)
def test_what_is_of_this_machine_alone_is_refused(targets: list[str], given: dict[str, object], message: str) -> None:
    with pytest.raises(SftRefError, match=message):
        read_options(targets, given)


def test_another_version_on_a_node_is_named() -> None:
    assert difference(installed()) == ""
    assert "another version of torch" in difference(installed() | {"torch": "1.0"})
    assert "other code of sft_ref" in difference(installed() | {"sft_ref": "0123"})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--compare"], "--ray: a baseline is of this device"),
        (["--adapter", "a", "--data", "b"], "--ray: distributes trainings, and --adapter needs none; leave --ray out"),
    ],
)
def test_a_sweep_on_a_cluster_has_no_baseline_and_no_adapter(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["sweep", "--base", "toy", "--ray", "auto", *words]) == 2
    assert message in capsys.readouterr().err


def test_without_the_extra_it_is_one_line_that_says_how_to_install_it(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "sft.py").touch()
    script = (
        "import sys; sys.modules['ray'] = None; from sft_ref.cli import main as cli; sys.exit(cli.main(sys.argv[1:]))"
    )
    words = ["grade", str(tmp_path / "a"), "--output", str(tmp_path / "out"), "--ray", "auto"]
    done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        2, "sft-ref: error: --ray: ray is not installed; pip install 'sft-ref[ray]'\n",
    )  # fmt: skip
