"""Where answers end in training, and where generation stops, are compared before anything is generated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sft_ref.harness.checks.adapter import CHECKS
from sft_ref.harness.checks.runner import run
from sft_ref.harness.core.check import Outcome, Result
from sft_ref.harness.evidence.adapter import AdapterEvidence, AdapterFiles
from sft_ref.harness.recorders.folder.answers import EXAMPLE, choose_wording
from sft_ref.harness.recorders.folder.stops import find_stops, stop_contract
from sft_ref.reference.models import load_tokenizer

from .conftest import CHATML, MakeBase, edit

TURN, TEXT = "<|im_end|>", "<|endoftext|>"
PROMPT = "{question}\n{answer}"


def check(base: Path, *, prompt: str | None = None, template: str | None = None) -> Result:
    """GEN-203 of an adapter over a base."""
    tokenizer = load_tokenizer(base)
    given = template or (None if prompt else str(tokenizer.chat_template))
    wording = choose_wording([EXAMPLE], tokenizer, prompt=prompt, template=given, by_name=prompt is None)
    evidence = AdapterEvidence(AdapterFiles(base), ending=stop_contract(wording, tokenizer, base))
    (found,) = run([each for each in CHECKS if each.id == "GEN-203"], evidence)
    return found


@pytest.mark.parametrize(
    ("eos", "tokenizer", "prompt"),
    [
        (2, {}, None),
        ([0, 2], {}, None),  # several
        ([0, 2], {"eos_token": TEXT}, None),  # the end of a turn is in the list, and eos_token is another
        (2, {"pad_token": TURN}, None),  # padding is the end
        (2, {}, PROMPT),
        (0, {"eos_token": TEXT}, PROMPT),
        (2, {"eos_token": TEXT}, PROMPT + TURN),
    ],
)
def test_an_end_at_which_generation_stops_passes(
    eos: Any, tokenizer: dict[str, str], prompt: str | None, make_base: MakeBase
) -> None:
    assert check(make_base(eos=eos, **tokenizer), prompt=prompt).outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("eos", "prompt", "stops"),
    [
        (0, None, "'<|endoftext|>'"),
        ([0, 1], None, "'<|endoftext|>' and '<|im_start|>'"),
        (None, None, "no token"),
        ([0, 999_999], None, "'<|endoftext|>' and 'id 999999'"),
        (0, PROMPT + TURN, "'<|endoftext|>'"),
    ],
)
def test_an_end_that_nothing_stops_at_fails(eos: Any, prompt: str | None, stops: str, make_base: MakeBase) -> None:
    found = check(make_base(eos=eos, eos_token=TEXT), prompt=prompt)
    assert found.outcome is Outcome.FAIL
    assert f"end with '{TURN}', but generation stops at {stops}, and" in found.observed
    assert f"the tokenizer's eos_token is '{TEXT}'" in found.observed


@pytest.mark.parametrize("eos", [0, None])
def test_an_end_that_only_the_tokenizer_knows_is_advice(eos: Any, make_base: MakeBase) -> None:
    found = check(make_base(eos=eos))
    assert found.outcome is Outcome.ADVICE
    assert "only if the tokenizer's eos_token_id is passed" in found.observed


def test_a_template_without_an_end_is_not_accused(make_base: MakeBase) -> None:
    found = check(make_base(), template="{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}")
    assert found.outcome is Outcome.SKIPPED


def test_without_a_way_to_write_texts_it_is_skipped_with_what_to_give(tmp_path: Path) -> None:
    (found,) = run([each for each in CHECKS if each.id == "GEN-203"], AdapterEvidence(AdapterFiles(tmp_path)))
    assert found.outcome is Outcome.SKIPPED
    assert found.observed.endswith("give --data, --prompt or --chat-template")


@pytest.mark.parametrize(
    ("config", "stops"),
    [
        ({"eos_token_id": 1}, (1,)),
        ({"eos_token_id": [1, 2]}, (1, 2)),
        ({"eos_token_id": None, "text_config": {"eos_token_id": 5}}, (5,)),
        ({"eos_token_id": None}, ()),
    ],
)
def test_without_a_generation_config_the_config_says_where_generation_stops(
    config: dict[str, Any], stops: tuple[int, ...], make_base: MakeBase
) -> None:
    base = make_base(chat_template=CHATML)
    (base / "generation_config.json").unlink()
    edit(base / "config.json", **config)
    assert find_stops(base) == stops
