"""An endpoint that is asked the questions of `sft-ref test`, on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from completion_server import CompletionServer, serving

import sft_ref
from sft_ref import BaseLLM
from sft_ref.cli.main import main
from sft_ref.engines.endpoint import TOGETHER, ServedModel
from sft_ref.http.client import EndpointClient, EndpointError, root_of

PROMPTS = [sft_ref.format_prompt(question) for question, _ in sft_ref.split_rows("validation")[: TOGETHER + 4]]


@pytest.fixture(autouse=True)
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[ExitStack]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with ExitStack() as stack:
        yield stack


def ask(stack: ExitStack, server: CompletionServer) -> list[str]:
    client = stack.enter_context(EndpointClient(root_of(stack.enter_context(serving(server))), None))
    return ServedModel(client, "toy").batched_generate(PROMPTS)


@pytest.fixture
def exact(toy_adapter: Path) -> BaseLLM:
    return sft_ref.load(toy_adapter, policy="fp32")


@pytest.mark.parametrize("most_prompts", [64, 1])
def test_completions_are_those_of_the_model_that_is_served(most_prompts: int, exact: BaseLLM, stack: ExitStack) -> None:
    server = CompletionServer({"toy": exact.model}, exact.tokenizer, most_prompts=most_prompts)
    exact.model.generation_config.eos_token_id = exact.tokenizer.eos_token_id
    assert ask(stack, server) == exact.batched_generate(PROMPTS)


def test_a_server_that_answers_some_prompts_alone_is_refused(
    exact: BaseLLM, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CompletionServer, "_continue", lambda *_: (200, {"choices": [{"text": "1", "index": 0}]}))
    with pytest.raises(EndpointError, match="returns 1 completions for 16 prompts"):
        ask(stack, CompletionServer({"toy": exact.model}, exact.tokenizer))


def test_a_server_that_refuses_each_prompt_says_why(
    exact: BaseLLM, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CompletionServer, "_continue", lambda *_: (400, {"error": "no completions here"}))
    with pytest.raises(EndpointError, match="no completions here"):
        ask(stack, CompletionServer({"toy": exact.model}, exact.tokenizer))


def test_the_command_scores_what_is_served(
    exact: BaseLLM, stack: ExitStack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = sft_ref.split_rows("validation")[:8]
    (tmp_path / "rows.json").write_text(json.dumps([list(row) for row in rows]))
    exact.model.generation_config.eos_token_id = exact.tokenizer.eos_token_id
    url = stack.enter_context(serving(CompletionServer({"toy": exact.model}, exact.tokenizer)))
    assert main(["test", "--engine", "http", "--url", url, "--data", str(tmp_path / "rows.json")]) == 0
    shown = capsys.readouterr().out
    assert str(sft_ref.reference.sft.ask(exact, rows).score) in shown
    assert f"asked:   model 'toy' at {url}/v1" in shown


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--engine", "http"], "give --url"),
        (["--engine", "http", "--url", "http://localhost:1", "--policy", "fp32"], "--policy: is for a folder"),
        (["some_folder", "--engine", "http", "--url", "http://localhost:1"], "some_folder"),
        (["--url", "http://localhost:1"], "--url: is for an endpoint"),
        (["--engine", "openvino", "--model", "toy"], "--model: is for an endpoint"),
        (["--engine", "http", "--url", "http://127.0.0.1:1"], "cannot be reached"),
    ],
)
def test_options_of_another_engine_are_refused_in_a_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["test", *words]) == 2
    [line] = capsys.readouterr().err.strip().splitlines()
    assert said in line
