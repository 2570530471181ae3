"""An endpoint is held against the record: planted faults are told, sound twins pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
import witnessed
from completion_server import CompletionServer, serving
from served_faults import merged_twice, round_weights, scaled, served, to_int8, tokenizer_of

from sft_ref.cli.main import main
from sft_ref.witnessing.serving.comparing import ServedVerdict
from sft_ref.witnessing.serving.endpoint import EndpointVerification, verify_endpoint


def merged(folder: Path) -> Any:
    return served(folder).merge_and_unload()


def spoilt(model: Any) -> Any:
    """Its outputs are NaN."""
    with torch.no_grad():
        model.model.norm.weight[0] = torch.nan
    return model


def doubled(ids: list[int]) -> list[int]:
    """Puts the chat template around a prompt that is written already."""
    own = witnessed.chat_tokenizer()
    chat = [{"role": "user", "content": own.decode(ids)}]
    return list(own(own.apply_chat_template(chat, tokenize=False, add_generation_prompt=True))["input_ids"])


@dataclass(frozen=True)
class ServedFault:
    """A server, and what is said of it."""

    verdict: ServedVerdict
    kinds: set[str]
    load: Callable[[Path], Any] = merged
    options: dict[str, Any] = field(default_factory=dict)
    training: str = "trained"


TRAINED: ServedVerdict = "trained model"
BASE: ServedVerdict = "base model: the adapter has no effect"
OTHER: ServedVerdict = "another template or tokenizer"
DRIFT: ServedVerdict = "drift"

SOUND = {
    "ids and echo": ServedFault(TRAINED, set()),
    "adapter beside its base": ServedFault(TRAINED, set(), served),
    "no echo": ServedFault(TRAINED, set(), options={"echoes": False}),
    "texts": ServedFault(TRAINED, set(), options={"takes_ids": False, "tells_ids": False}),
    "texts, no echo": ServedFault(TRAINED, set(), options={"takes_ids": False, "tells_ids": False, "echoes": False}),
    "as llama.cpp": ServedFault(TRAINED, set(), options={"chat_form": True, "echoes": False}),
    "five logprobs": ServedFault(TRAINED, set(), options={"most": 5}),
    "one logprob": ServedFault(TRAINED, set(), options={"most": 1}),
    "no counts": ServedFault(TRAINED, set(), options={"counts": False}),
    "a key": ServedFault(TRAINED, set(), options={"key": "sk-of-the-test"}),
    "bf16 training in bf16": ServedFault(TRAINED, set(), lambda f: merged(f).bfloat16(), {}, "trained_bf16"),
    "mixed training in fp32": ServedFault(TRAINED, set(), merged, {}, "trained_mixed"),
    "mixed training in bf16": ServedFault(TRAINED, set(), lambda f: merged(f).bfloat16(), {}, "trained_mixed"),
}

FAULTS = {
    "adapter not applied": ServedFault(BASE, {"load"}, lambda folder: witnessed.load_toy()),
    "adapter not applied, five logprobs": ServedFault(BASE, {"load"}, lambda f: witnessed.load_toy(), {"most": 5}),
    "adapter not applied, one logprob": ServedFault(BASE, {"load"}, lambda f: witnessed.load_toy(), {"most": 1}),
    "adapter not applied, no echo": ServedFault(
        BASE, {"load"}, lambda f: witnessed.load_toy(), {"echoes": False, "takes_ids": False, "tells_ids": False}
    ),
    "adapter not applied, in bf16": ServedFault(
        BASE, {"load"}, lambda f: witnessed.load_toy(torch.bfloat16), {}, "trained_mixed"
    ),
    "adapter not applied, rounded to bf16": ServedFault(BASE, {"load"}, lambda f: witnessed.load_toy(torch.bfloat16)),
    "adapter at half its scaling": ServedFault(DRIFT, {"load"}, scaled, {}, "trained_mixed"),
    "adapter merged twice": ServedFault(DRIFT, {"load"}, merged_twice),
    "template doubled": ServedFault(OTHER, {"template"}, options={"rewrite": doubled}),
    "template doubled, texts": ServedFault(
        OTHER, {"template"}, options={"rewrite": doubled, "takes_ids": False, "echoes": False}
    ),
    "template doubled, not counted": ServedFault(OTHER, {"tokenizer"}, options={"rewrite": doubled, "counts": False}),
    "chats written twice": ServedFault(
        OTHER, {"template"}, options={"template": witnessed.TEMPLATE.replace("<assistant>", "<assistant><assistant>")}
    ),
    "chats written otherwise, not counted": ServedFault(
        OTHER,
        {"template"},
        options={"template": witnessed.TEMPLATE.replace("<assistant>", "assistant:"), "counts": False},
    ),
    "not finite": ServedFault(DRIFT, {"precision"}, lambda folder: spoilt(merged(folder))),
    "rounded to fp16": ServedFault(DRIFT, {"precision"}, lambda folder: merged(folder).half()),
    "rounded to bf16": ServedFault(DRIFT, {"precision"}, lambda folder: merged(folder).bfloat16()),
    "rounded to int8": ServedFault(DRIFT, {"precision"}, lambda folder: round_weights(merged(folder), to_int8)),
}


def verified(fault: ServedFault, request: pytest.FixtureRequest) -> EndpointVerification:
    folder = request.getfixturevalue(fault.training)
    server = CompletionServer({"mine": fault.load(folder)}, tokenizer_of(folder), **fault.options)
    with witnessed.no_warnings(), serving(server) as url:
        return verify_endpoint(url, folder)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-test")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.mark.parametrize("name", [*SOUND, *FAULTS])
def test_the_verdict_names_what_is_served(name: str, request: pytest.FixtureRequest) -> None:
    due = {**SOUND, **FAULTS}[name]
    found = verified(due, request)
    assert found.verdict == due.verdict, str(found)
    assert found.found.kinds == due.kinds, str(found)
    assert found.ok == (due.verdict == TRAINED)


def test_a_differing_token_is_named(request: pytest.FixtureRequest) -> None:
    found = verified(FAULTS["adapter merged twice"], request)
    assert any("first differing token: probe " in note for note in found.found.notes), str(found)


def test_the_command_asks_from_a_process_of_its_own(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MINE", "sk-of-mine")
    server = CompletionServer({"mine": merged(trained)}, tokenizer_of(trained), key="sk-of-mine")
    with serving(server) as url:
        assert main(["verify", url, "--record", str(trained), "--key-env", "MINE"]) == 0
        assert capsys.readouterr().out.startswith(
            "mine: trained model\nas recorded (load, tokenizer, template, precision)"
        )
