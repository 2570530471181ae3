"""The sweep: every pair has its cell, what is planted is seen, and an interrupted one goes on."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from sft_ref import BaseLLM, Settings, adapter, cli, models, parse_answer, sft
from sft_ref.errors import OutputError, PrecisionError, TrainingError
from sft_ref.sweep import baseline, command, difference, run
from sft_ref.sweep.bands import BANDS, Band
from sft_ref.sweep.cell import Cell, Verdict, to_text
from sft_ref.sweep.keeping import Kept
from sft_ref.sweep.measure import measure as measure_cell
from sft_ref.sweep.run import Plan, sweep

PLAN = Plan("toy", train=("fp32", "fp16-mixed"), load=("fp16", "bf16-mixed"), settings=Settings(steps=40), questions=32)
ONE = dataclasses.replace(PLAN, train=("fp32",), load=())
load, read_record = sft.load, adapter.read_record


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sweep") / "kept"


@pytest.fixture(scope="module")
def cells(folder: Path) -> list[Cell]:
    """A sweep whose folder stays, so that others need not train again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Kept, "forget", lambda kept: None)
        return list(sweep(PLAN, folder))


@pytest.fixture
def again(cells: list[Cell], folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Cell]:
    """Measures fp32 → fp32 again, with the training that is there."""
    monkeypatch.setattr(Kept, "forget", lambda kept: None)

    def measure() -> Cell:
        (folder / "fp32" / "fp32.cell.json").unlink(missing_ok=True)
        return next(sweep(ONE, folder))

    return measure


def test_every_pair_has_its_cell_and_what_cannot_train_here_says_why(cells: list[Cell]) -> None:
    pairs = [(cell.train, cell.load) for cell in cells]
    loads = {"fp32": ["fp32", "fp16", "bf16-mixed"], "fp16-mixed": ["fp16-mixed", "fp16", "bf16-mixed"]}
    assert pairs == [(train, each) for train, names in loads.items() for each in names]
    if not torch.cuda.is_available():
        for cell in cells[3:]:
            assert cell.verdict is Verdict.NOT_RUN
            assert "fp16 training needs CUDA" in cell.why


def test_what_was_trained_is_the_same_and_other_precisions_drift(cells: list[Cell]) -> None:
    same, fp16, mixed = cells[:3]
    assert (same.verdict, same.parity, same.same_dtypes, same.computed) == (Verdict.SAME, 0.0, True, ())
    for cell in (fp16, mixed):
        assert cell.verdict is Verdict.DRIFT
        assert cell.parity is not None
        assert cell.parity > 0
        assert re.match(r"logits by up to [\d.]+, \d+ of 32 answers, ", cell.why)
    assert (fp16.same_dtypes, mixed.same_dtypes) == (False, True)
    assert "torch Linear: float32 in training, bfloat16 when answering" in mixed.computed
    assert (same.dtypes, fp16.dtypes, mixed.dtypes) == ("fp32/fp32/fp32", "fp16/fp16/fp16", "fp32/fp32/bf16")
    assert fp16.weights_mib == pytest.approx((same.weights_mib or 0) / 2, rel=0.01)


def test_all_figures_are_there(cells: list[Cell]) -> None:
    for cell in cells[:3]:
        for field in dataclasses.fields(Cell):
            value = getattr(cell, field.name)
            if field.name != "peak_memory_mib" and not (field.name == "changed_answers" and cell.load == cell.train):
                assert value is not None, field.name
        assert cell.finite
        assert cell.headroom_module == "model.layers.2"
        assert len(cell.answers) == 32
        assert len(cell.training.first_losses) == 5


def test_json_holds_the_cells_and_no_number_that_is_not_finite(cells: list[Cell]) -> None:
    odd = dataclasses.replace(cells[0], parity=math.nan, answers=(1.0, None), logits={"mean": math.inf})
    found = json.loads(to_text([*cells, odd]), parse_constant=pytest.fail)
    wanted = {"train", "load", "finite", "same_dtypes", "parity", "top1", "answer_rate", "accuracy", "verdict"}
    assert all(wanted <= cell.keys() for cell in found)
    assert found[-1]["parity"] is None
    assert [Cell.from_json(each) for each in found[:-1]] == cells


# what is planted


def rounded(*args: Any, **kwargs: Any) -> BaseLLM:
    llm = load(*args, **kwargs)
    for name, tensor in llm.model.named_parameters():
        if "lora_" in name:
            tensor.data = tensor.data.to(torch.bfloat16).float()
    return llm


def halved(*args: Any, **kwargs: Any) -> BaseLLM:
    llm = load(*args, **kwargs)
    llm.model.half()
    return llm


def followed(*args: Any, **kwargs: Any) -> BaseLLM:
    """The library's default: "auto" since version 5, which for the toy is bf16; and nobody compares with the record."""
    with pytest.MonkeyPatch.context() as patch:
        keyword = models.dtype_keyword("auto")
        patch.setattr(models, "dtype_keyword", lambda dtype: keyword)
        patch.setattr(adapter, "read_record", lambda *a: dataclasses.replace(read_record(*a), dtypes={}))  # type: ignore[type-var]
        return load(*args, **kwargs)


@pytest.mark.parametrize(
    ("planted", "moved"),
    [
        (rounded, {"verdict", "parity"}),
        (halved, {"verdict", "dtypes", "same_dtypes", "parity", "weights_mib", "computed"}),
        (followed, {"verdict", "dtypes", "same_dtypes", "parity", "weights_mib", "computed"}),
    ],
)
def test_a_planted_regression_shows_as_a_difference_from_the_baseline(
    planted: Callable[..., BaseLLM],
    moved: set[str],
    cells: list[Cell],
    again: Callable[[], Cell],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    golden = baseline.figures(cells)
    assert list(baseline.compare(golden, baseline.figures([again()]))) == []
    monkeypatch.setattr("sft_ref.sft.load", planted)
    found = baseline.figures([again()])
    differences = list(baseline.compare(golden, found))
    assert {each.quantity for each in differences} >= moved
    difference.show(differences, golden, found, Path("here"))
    text = capsys.readouterr().out
    assert "moved fp32 → fp32" in text
    assert re.search(r"verdict +same → drift", text)
    assert re.search(r"parity +0 → [\d.e-]+ \(\+", text)
    assert re.search(r"answers +(none|\d+ of 32) changed", text)


def test_a_new_default_dtype_of_the_library_is_refused_by_load_and_the_stage_is_named(
    cells: list[Cell], again: Callable[[], Cell], monkeypatch: pytest.MonkeyPatch
) -> None:
    keyword = models.dtype_keyword("auto")
    monkeypatch.setattr(models, "dtype_keyword", lambda dtype: keyword)
    cell = again()
    assert (cell.verdict, cell.stage) == (Verdict.BROKEN, "load")
    assert "was trained in float32 and is loaded in bfloat16" in cell.why
    assert {each.quantity for each in baseline.compare(baseline.figures(cells), baseline.figures([cell]))} >= {
        "verdict",
        "parity",
    }


def strict(text: str) -> float:
    return parse_answer(text) if text.startswith("<answer>") else math.nan


def infinite(*args: Any, **kwargs: Any) -> BaseLLM:
    llm = load(*args, **kwargs)
    llm.model.get_parameter("base_model.model.model.layers.1.mlp.down_proj.base_layer.weight").data.mul_(1e38).mul_(10)
    return llm


def overflowing(*args: Any, **kwargs: Any) -> BaseLLM:
    llm = load(*args, **kwargs)
    llm.model.get_parameter("base_model.model.model.layers.1.mlp.down_proj.base_layer.weight").data.fill_(3e38)
    return llm


def blank(*args: Any, **kwargs: Any) -> BaseLLM:
    llm = load(*args, **kwargs)
    for name, tensor in llm.model.named_parameters():
        if "lora_B" in name:
            tensor.data.zero_()
    return llm


@pytest.mark.parametrize(
    ("place", "planted", "stage", "why"),
    [
        ("sft_ref.sft.load", blank, "load", "the true answer's loss is higher by"),
        ("sft_ref.sft.load", infinite, "load", r"layers.1.mlp.down_proj.weight is not finite"),
        ("sft_ref.sft.load", overflowing, "generate", r"model.layers.1.mlp.down_proj puts out numbers that are not"),
        ("sft_ref.base_llm.prompt.parse_answer", strict, "parse", "of the answers and 0% are read"),
        ("sft_ref.base_llm.MAX_NEW_TOKENS", 2, "generate", "the model knows .* of the answers and writes"),
    ],
)
def test_a_broken_cell_names_its_stage(
    place: str, planted: object, stage: str, why: str, again: Callable[[], Cell], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, planted)
    cell = again()
    assert (cell.verdict, cell.stage) == (Verdict.BROKEN, stage)
    assert re.search(why, cell.why)


def test_a_damaged_artifact_is_a_broken_cell_and_the_others_go_on(
    cells: list[Cell], folder: Path, again: Callable[[], Cell]
) -> None:
    weights = folder / "fp32" / "adapter" / adapter.WEIGHTS
    before = weights.read_bytes()
    weights.write_bytes(before[:-8])
    cell = again()
    weights.write_bytes(before)
    assert (cell.verdict, cell.stage) == (Verdict.BROKEN, "artifact")


def test_a_training_that_fails_breaks_its_row_at_the_stage_train(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise TrainingError("20 optimizer steps in a row had no finite loss and gradient")

    monkeypatch.setattr("sft_ref.sft.train", fail)
    found = list(sweep(dataclasses.replace(PLAN, train=("fp32",)), tmp_path / "s"))
    assert [(cell.verdict, cell.stage) for cell in found] == [(Verdict.BROKEN, "train")] * 3


# what is kept


def test_an_interrupted_sweep_goes_on_and_ends_as_an_uninterrupted_one(
    cells: list[Cell], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = dataclasses.replace(PLAN, train=("fp32",), settings=Settings(steps=3, batch_size=4), questions=4)
    trained = 0
    train = sft.train

    def count(*args: Any, **kwargs: Any) -> Any:
        nonlocal trained
        trained += 1
        return train(*args, **kwargs)

    monkeypatch.setattr("sft_ref.sft.train", count)
    first = list(itertools.islice(sweep(plan, tmp_path / "s"), 2))
    with pytest.raises(OutputError, match="an unfinished sweep with another settings"):
        next(sweep(dataclasses.replace(plan, settings=Settings(steps=4)), tmp_path / "s"))
    whole = list(sweep(plan, tmp_path / "s"))
    assert trained == 1
    assert whole[:2] == first
    assert len(whole) == 3
    assert not (tmp_path / "s").exists()


def test_a_folder_of_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(OutputError, match="holds no sweep"):
        next(sweep(PLAN, tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_policy_that_is_none_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(PrecisionError, match="unknown policy 'fp8'"):
        next(sweep(dataclasses.replace(PLAN, load=("fp8",)), tmp_path / "s"))
    assert not list(tmp_path.iterdir())


# the command


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--questions", "0"], "questions is 0; give a number from 1 to 1000"),
        (["--steps", "0"], "steps is 0"),
        (["--train", "fp8"], "unknown policy 'fp8'"),
        (["--json", "nowhere/a.json"], "there is no such folder"),
        (["--base", "nobody"], "unknown base 'nobody'"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["sweep", "--base", "toy", *words]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.fixture
def swept(cells: list[Cell], monkeypatch: pytest.MonkeyPatch) -> None:
    """The command without its minutes: the cells are there already."""
    monkeypatch.setattr(command, "_sweep", lambda plan, folder: cells)
    monkeypatch.delenv("CI", raising=False)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for words in (
        ["init", "-q"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "."],
    ):
        subprocess.run(["git", *words], check=True, cwd=tmp_path)  # noqa: S607
    return tmp_path


def test_the_command_prints_one_matrix_and_writes_json_and_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["--train", "fp32", "fp16", "--load", "fp16", "--steps", "2", "--questions", "3"]
    assert cli.main(["sweep", "--base", "toy", *words, "--json", "a.json", "--png", "a.png"]) == 0
    shown = capsys.readouterr()
    assert re.search(r"fp32 +fp32 +\w+.* fp32/fp32/fp32 +yes +0 ", shown.out)
    assert "fp16 → any" in shown.out or torch.cuda.is_available()
    assert "3/3" in shown.err or "4/4" in shown.err
    assert len(json.loads(Path("a.json").read_text())) == 3
    assert Path("a.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "a.png"]


def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    def stop(*args: Any, **kwargs: Any) -> Cell:
        if args[2].name == "fp16":
            raise KeyboardInterrupt
        return measure_cell(*args, **kwargs)

    words = ["sweep", "--base", "toy", "--train", "fp32", "--load", "fp16", "--steps", "2", "--questions", "3"]
    monkeypatch.setattr(run, "measure", stop)
    assert cli.main(words) == 130
    assert "stopped, 1 of 2 cells done; the same command goes on from there" in capsys.readouterr().err
    monkeypatch.setattr(run, "measure", measure_cell)
    assert cli.main(words) == 0
    assert "training" not in capsys.readouterr().err.replace("when training ended", "")


def test_a_baseline_is_written_and_compared_and_a_change_is_exit_code_1(
    swept: None, cells: list[Cell], repository: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    words = ["sweep", "--base", "toy", "--steps", "40", "--questions", "32"]
    assert cli.main([*words, "--update"]) == 0
    assert cli.main([*words, "--update"]) == 0  # its own file makes no dirty tree
    assert cli.main([*words, "--compare"]) == 0
    assert "within its tolerances: 6 cells" in capsys.readouterr().out
    worse = [dataclasses.replace(cells[0], answer_rate=0.5, loss=math.nan), *cells[1:]]
    monkeypatch.setattr(command, "_sweep", lambda plan, folder: worse)
    assert cli.main([*words, "--compare"]) == 1
    out = capsys.readouterr().out
    assert re.search(r"answer_rate +[\d.]+ → 0.5 \(-0\.\d+\) +allowed ±0\.05: 0 seen; training carries", out)
    assert re.search(r"loss +[\d.e-]+ → not finite", out)
    assert cli.main([*words[:-1], "31", "--compare"]) == 2
    assert "was made with another questions" in capsys.readouterr().err


def test_a_baseline_that_is_missing_is_shown_and_in_ci_an_error(
    swept: None, repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["sweep", "--base", "toy", "--compare"]
    assert cli.main(words) == 0
    assert "no baseline: tests/baselines/" in capsys.readouterr().out
    monkeypatch.setenv("CI", "true")
    assert cli.main(words) == 2
    assert "there is no baseline" in capsys.readouterr().err


def test_a_pair_without_a_baseline_is_shown_and_in_ci_an_error(
    swept: None, cells: list[Cell], repository: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    words = ["sweep", "--base", "toy"]
    assert cli.main([*words, "--update"]) == 0
    more = [*cells, dataclasses.replace(cells[0], load="fp32+sdpa")]
    monkeypatch.setattr(command, "_sweep", lambda plan, folder: more)
    assert cli.main([*words, "--compare"]) == 0
    assert "no baseline: fp32 → fp32+sdpa" in capsys.readouterr().out
    monkeypatch.setenv("CI", "1")
    assert cli.main([*words, "--compare"]) == 2


def test_a_baseline_is_refused_from_a_dirty_tree_and_outside_a_repository(
    swept: None, repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (repository / "code.py").touch()
    assert cli.main(["sweep", "--base", "toy", "--update"]) == 2
    assert "code.py is not committed" in capsys.readouterr().err
    (repository / "code.py").unlink()
    monkeypatch.setattr("sft_ref.sweep.baseline.subprocess.run", no_repository)
    assert cli.main(["sweep", "--base", "toy", "--update"]) == 2
    assert "is in no git repository" in capsys.readouterr().err
    assert not (repository / "tests").exists()


def no_repository(*_: object, **__: object) -> None:
    raise subprocess.CalledProcessError(128, "git")


def test_a_baseline_is_refused_where_two_sweeps_disagree(
    swept: None, cells: list[Cell], repository: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    other = [dataclasses.replace(cells[0], loss=(cells[0].loss or 0) + 1e-7), *cells[1:]]
    sweeps: Iterator[list[Cell]] = itertools.cycle([cells, other])
    monkeypatch.setattr(command, "_sweep", lambda plan, folder: next(sweeps))
    assert cli.main(["sweep", "--base", "toy", "--update"]) == 2
    assert "two sweeps disagree on loss of fp32 → fp32" in capsys.readouterr().err
    assert not (repository / "tests").exists()


# tolerances


@pytest.mark.parametrize("band", BANDS, ids=lambda band: band.quantity)
def test_what_is_not_finite_never_matches_not_even_itself(band: Band) -> None:
    for odd in (math.nan, math.inf, None):
        assert band.moved(odd, odd)
        assert band.moved(1.0, odd)
        assert band.moved(odd, 1.0)
    assert band.why


@pytest.mark.parametrize(
    ("kind", "allowed", "golden", "near", "far"),
    [
        ("equal", 0, "same", "same", "drift"),
        ("apart", 0.1, 1.0, 1.05, 1.2),
        ("share", 0.1, 10.0, 10.5, 12.0),
        ("times", 3, 1.0, 2.5, 4.0),
        ("times", 3, 1.0, 0.4, 0.2),
        ("times", 3, 0.0, 0.0, 1e-9),
    ],
)
def test_a_number_moves_when_it_leaves_its_band(kind: Any, allowed: float, golden: Any, near: Any, far: Any) -> None:
    band = Band("x", kind, allowed, "a trial")
    assert not band.moved(golden, near)
    assert band.moved(golden, far)
