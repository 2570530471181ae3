"""The command line, as a user meets it."""

import json
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from sft_ref.cli import main as cli

FAST = ["--base", "toy", "--steps", "3", "--batch-size", "4"]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sft_ref", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


def test_help_imports_no_torch_and_is_quick() -> None:
    script = (
        "import sys\nfrom sft_ref.cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "heavy = {'torch', 'transformers', 'peft', 'numpy', 'matplotlib', 'pint'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    seconds = []
    for _ in range(5):
        began = processor_seconds_of_children()
        assert "train" in run("--help").stdout
        seconds.append(processor_seconds_of_children() - began)
    assert min(seconds) < 0.5  # 0.2 where nothing else runs


def processor_seconds_of_children() -> float:
    """Returns the processor time of all child processes that have ended; a busy machine hardly changes it."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.slow
def test_the_whole_job_ends_in_one_line_of_figures(tmp_path: Path) -> None:
    done = run("demo", "--base", "toy", "--output", str(tmp_path / "demo"), "--steps", "20")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert re.fullmatch(
        r"accuracy=[01]\.\d\d answer_rate=[01]\.\d\d base=toy policy=(bf16-mixed|fp32) seconds=\d+", lines[-1]
    )
    text = done.stdout
    order = [
        "training 20/20",
        "the first 10 of 100 questions",
        "accuracy=",
        "policy: ",
        "trained: base float32",
        "loaded:  base float32",
        "loss curve",
        "The same adapter, with a fault",
        "At fault: parse",
        "its parser                          accuracy=0.00 answer_rate=0.00",
        "the reference's parser in its place accuracy=",
    ]
    places = [text.index(part) for part in order]
    assert places == sorted(places)
    assert (tmp_path / "demo" / "loss.png").is_file()
    assert done.stderr == ""


def test_train_load_and_test_take_the_users_own_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = tmp_path / "rows.json"
    rows.write_text(json.dumps([[f"What is {n} kg in g?", 1000.0 * n] for n in range(1, 9)]))
    adapter = str(tmp_path / "adapter")
    assert cli.main(["train", "--output", adapter, "--data", str(rows), *FAST]) == 0
    assert cli.main(["load", adapter]) == 0
    assert cli.main(["test", adapter, "--data", str(rows)]) == 0
    out = capsys.readouterr().out
    assert "the first 8 of 8 questions" in out
    assert "answer_rate=" in out


def test_loading_on_purpose_under_another_policy_is_said(toy_adapter: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["load", str(toy_adapter), "--policy", "bf16"]) == 0
    out = capsys.readouterr().out
    assert "loaded on purpose under another policy than the trained one" in out
    assert "loaded:  base bfloat16" in out


def test_an_adapter_of_another_tool_is_loaded_with_its_base_dtype_unknown(
    toy_adapter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (tmp_path / name).write_bytes((toy_adapter / name).read_bytes())
    assert cli.main(["load", str(tmp_path)]) == 0
    assert "base dtype unknown" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "--base", "no-such"], "unknown base 'no-such'"),
        (["train", *FAST, "--policy", "fp8"], "unknown policy 'fp8'"),
        (["train", *FAST, "--data", "none.json"], "none.json: cannot be read"),
        (["train", *FAST, "--output", "pyproject.toml/x"], "cannot write pyproject.toml/x"),
        (["train", *FAST, "--output", "tests"], "tests exists and is not an adapter folder"),
        (["checks", "XYZ-001"], "no check named XYZ-001"),
        (
            ["grade", "no_such_module:thing"],
            "there is no such file or folder, and no implementation of that name",
        ),
        (["grade", "--module", "no_such_module:thing"], "ModuleNotFoundError: No module named 'no_such_module'"),
        (["grade", "--module", "no_such_module"], "give a path, or --module MODULE:OBJECT"),
        (["grade"], "give the PATH of a target, or --module NAME"),
        (["grade", "tests", "--module", "reference"], "or --module NAME, and not both"),
        (["grade", "--module", "reference", "--output", "x"], "--output: is for the submissions of a class"),
        (["grade", "string:digits"], "string:digits: lacks name, base"),
        (["load", "nowhere"], "nowhere: holds no adapter_config.json"),
        (["test", "nowhere"], "nowhere: holds no adapter_config.json"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str], no_hub: Path, pytestconfig: pytest.Config,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(pytestconfig.rootpath)
    before = sorted(Path().iterdir())
    assert cli.main(words) == 2
    error = capsys.readouterr().err
    assert error.startswith("sft-ref: error: ")
    assert message in error
    assert error.count("\n") == 1
    assert sorted(Path().iterdir()) == before


def test_a_check_is_explained_by_its_id(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["checks", "LOD-005"]) == 0
    out = capsys.readouterr().out
    for part in ("LOD-005 (load, contract)", "why", "remedy", "object, submission", "source"):
        assert part in out
    assert cli.main(["checks"]) == 0
    assert "PRM-001" in capsys.readouterr().out


@pytest.mark.slow
def test_grading_the_reference_writes_its_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "results.json"
    assert cli.main(["grade", "reference", "--only", "PRM-003", "TOK-005", "--json", str(path)]) == 0
    assert "2 of 2 passed" in capsys.readouterr().out
    [row] = json.loads(path.read_text())
    assert row["verdict"] == "not shown"  # but exit code 0: the stages that were asked for are shown
    assert [(each["id"], each["outcome"]) for each in row["checks"]] == [
        ("PRM-003", "pass"),
        ("TOK-005", "pass"),
    ]


@pytest.mark.parametrize("words", [[], ["fly"], ["train", "--steps", "many"], ["test", "--nonsense"]])
def test_bad_usage_is_one_line_and_exit_code_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(words)
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert re.fullmatch(r"sft-ref: error: .*; see sft-ref( \w+)? --help\n", error)


def test_an_interrupt_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt("stopped after step 3 of 6")

    monkeypatch.setattr("sft_ref.reference.sft.train", interrupted)
    assert cli.main(["train", *FAST]) == 130
    assert "stopped after step 3 of 6; the same command goes on from there" in capsys.readouterr().err
