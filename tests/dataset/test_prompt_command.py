"""`sft-ref prompt` shows a row as it is trained and as it is sent, token by token."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from sft_ref.cli import prompt as command
from sft_ref.cli.main import main

from .conftest import CHAT, CHATML, HEADER, MARKED, MakeBase, MakeRows, chat

pytestmark = pytest.mark.usefixtures("in_this_process")

Output = pytest.CaptureFixture[str]
ROWS = [chat("Who?", "Me."), chat("One?", "1", "And two?", "2", system="Count.\t\x1b[31m\u202e")]


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    """A folder with a configuration alone, which names a base."""
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "base_model_name_or_path": "toy"}))
    return folder


def test_a_prefix_is_shown_with_its_supervised_tokens(adapter: Path, make_rows: MakeRows, capsys: Output) -> None:
    assert main(["prompt", str(adapter), "--data", str(make_rows(ROWS))]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    assert lines[0] == "row 1 of 2, written by the chat template; tokenizer: the base, toy"
    assert any(line.endswith("<|im_start|>assistant\\n[[Me.<|im_end|>\\n]]") for line in lines)
    marked = [line.split()[3] for line in lines if line.split()[1:2] == ["*"]]
    assert "".join(marked) == "'M''e''.''<|im_end|>''\\n'"
    assert last.startswith("The prompt is a prefix of the training text, token by token: all ")


def test_several_turns_and_a_system_prompt_are_shown_without_control_characters(
    adapter: Path, make_rows: MakeRows, capsys: Output
) -> None:
    assert main(["prompt", str(adapter), "--data", str(make_rows(ROWS)), "--row", "2"]) == 0
    out = capsys.readouterr().out
    assert r"Count.\t\x1b[31m\u202e" in out
    assert all(each.isprintable() or each == "\n" for each in out)
    assert "more tokens of the same kind" in out
    assert "[[2<|im_end|>" in out


def test_the_place_at_which_they_part_is_marked_and_explained(
    adapter: Path, make_rows: MakeRows, capsys: Output
) -> None:
    data = make_rows([["How cold?", "-5"]])
    assert main(["prompt", str(adapter), "--data", str(data), "--prompt", "{question} A: {answer}"]) == 1
    *lines, last = capsys.readouterr().out.splitlines()
    (parted,) = [line for line in lines if "!" in line.split()[1:2]]
    assert parted.split(maxsplit=2)[0] in last
    assert last.endswith(
        "the tokenizer joins the end of the prompt, ' ', with the answer: ' -5<|im_end|>';"
        " end the prompt before the space or word that the answer continues."
    )


def test_a_tokenizer_that_ends_prompts_is_named(make_base: MakeBase, make_rows: MakeRows, capsys: Output) -> None:
    base = make_base(append="<|im_end|>")
    assert (
        main(["prompt", str(base), "--data", str(make_rows([["Who?", "Me."]])), "--prompt", "{question}\n{answer}"])
        == 1
    )
    assert "the tokenizer appends '<|im_end|>' to the prompt" in capsys.readouterr().out.splitlines()[-1]


def test_texts_that_differ_are_shown(make_base: MakeBase, make_rows: MakeRows, capsys: Output) -> None:
    base = make_base(chat_template=CHAT + HEADER.replace("assistant\n", "assistant\n<think>\n"))
    assert main(["prompt", str(base), "--data", str(make_rows(ROWS))]) == 1
    assert "the prompt continues with '<think" in capsys.readouterr().out.splitlines()[-1]


def test_a_prompt_without_a_header_is_a_prefix_whose_header_is_supervised(
    make_base: MakeBase, make_rows: MakeRows, capsys: Output
) -> None:
    assert main(["prompt", str(make_base(chat_template=CHAT)), "--data", str(make_rows(ROWS))]) == 0
    assert "[[<|im_start|>assistant\\nMe.<|im_end|>\\n]]" in capsys.readouterr().out


def test_the_tokenizer_in_the_folder_comes_before_that_of_the_base(
    adapter: Path, make_base: MakeBase, make_rows: MakeRows, capsys: Output
) -> None:
    words = ["prompt", str(adapter), "--data", str(make_rows(ROWS)), "--base", str(make_base(chat_template=CHATML))]
    assert main(words) == 0
    assert "helpful AI assistant" not in capsys.readouterr().out
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(
            make_base("own", chat_template="OWN" + CHATML) / name, adapter
        ) if name == "tokenizer.json" else None
    own = adapter.parent / "own"
    shutil.copy(own / "tokenizer_config.json", adapter)
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "tokenizer: adapter" in out
    assert "  OWN<|im_start|>" in out
    (adapter / "chat_template.jinja").write_text("FILE" + CHATML)
    assert main(words) == 0
    assert "  FILE<|im_start|>" in capsys.readouterr().out
    template = adapter.parent / "given.jinja"
    template.write_text("GIVEN" + CHATML)
    assert main([*words, "--chat-template", str(template)]) == 0
    assert "  GIVEN<|im_start|>" in capsys.readouterr().out


def test_a_folder_with_a_tokenizer_needs_no_base(make_base: MakeBase, make_rows: MakeRows, tmp_path: Path) -> None:
    own = make_base()
    (own / "config.json").unlink()
    config = {"peft_type": "LORA", "base_model_name_or_path": "nobody/nothing"}
    (own / "adapter_config.json").write_text(json.dumps(config))
    assert main(["prompt", str(own), "--data", str(make_rows(ROWS))]) == 0


def test_other_labels_mark_other_tokens(make_base: MakeBase, make_rows: MakeRows, capsys: Output) -> None:
    words = ["prompt", str(make_base(chat_template=MARKED)), "--data", str(make_rows(ROWS)), "--row", "2", "--labels"]
    assert main([*words, "assistant"]) == 0
    out = capsys.readouterr().out
    assert "[[1<|im_end|>]]" in out
    assert "[[2<|im_end|>]]" in out
    assert main([*words, "collator"]) == 0
    assert "]]<|im_end|>[[<|im_start|>" in capsys.readouterr().out


def test_whole_prompts_are_sent_as_they_are_unless_a_template_is_named(
    adapter: Path, make_rows: MakeRows, capsys: Output
) -> None:
    words = ["prompt", str(adapter), "--data", str(make_rows([{"prompt": "Who?\n", "completion": "Me."}]))]
    assert main(words) == 0
    assert "  Who?\\n" in capsys.readouterr().out.splitlines()
    assert main([*words, "--chat-template", "tokenizer"]) == 0
    assert "<|im_start|>user\\nWho?" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--row", "3"], "holds rows 1 to 2, and row 3 is asked for"),
        (["--row", "0"], "row"),
        (["--prompt", "{question}"], "{answer} 0 times"),
        (["--prompt", "{question} {answer}", "--labels", "assistant"], "needs a chat template"),
        (["--chat-template", "nowhere"], "nowhere: cannot be read"),
        (["--base", "nobody/nothing"], "unknown base"),
    ],
)
def test_bad_input_is_refused_in_one_line(
    words: list[str], says: str, adapter: Path, make_rows: MakeRows, capsys: Output
) -> None:
    try:
        code = main(["prompt", str(adapter), "--data", str(make_rows(ROWS)), *words])
    except SystemExit as end:  # of argparse
        code = int(str(end.code))
    output = capsys.readouterr()
    assert code == 2
    assert says in output.err
    assert output.err.count("\n") == 1
    assert not output.out


def test_an_unused_row_may_be_bad_and_a_bad_one_is_named(adapter: Path, make_rows: MakeRows, capsys: Output) -> None:
    data = str(make_rows([*ROWS, ["only"]]))
    assert main(["prompt", str(adapter), "--data", data]) == 0
    assert main(["prompt", str(adapter), "--data", data, "--row", "3"]) == 2
    assert "row 3 is a list that is not a pair" in capsys.readouterr().err


def test_the_process_with_limits_shows_the_same(
    adapter: Path, make_rows: MakeRows, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["prompt", str(adapter), "--data", str(make_rows(ROWS))]
    assert main(words) == 0
    due = capsys.readouterr().out
    monkeypatch.undo()
    assert main(words) == 0
    assert capsys.readouterr().out == due


@pytest.mark.slow
def test_a_chat_template_that_never_ends_is_one_line(
    adapter: Path, make_rows: MakeRows, tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(command, "_SECONDS", 6.0)
    template = tmp_path / "endless.jinja"
    counted = "{% for b in range(99999) %}{% for c in range(99999) %}{% endfor %}{% endfor %}"
    template.write_text("{% for a in range(99999) %}" + counted + "{% endfor %}")
    assert main(["prompt", str(adapter), "--data", str(make_rows(ROWS)), "--chat-template", str(template)]) == 2
    assert "used up 6 s of processor time per core" in capsys.readouterr().err
