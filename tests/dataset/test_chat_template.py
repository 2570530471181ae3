"""What a chat template does to any conversation: contents, system prompts, the first token, the time."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from transformers import AutoTokenizer

from sft_ref.harness.checks.shared import prompt
from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.evidence.views import ChatTemplate
from sft_ref.harness.recorders.folder.chat_template import observe_template
from sft_ref.reference.bases.find import TOY

LOOP = "{% for m in messages %}BODY{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
CHATML = LOOP.replace("BODY", "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n")
SOUND = {
    "ChatML": CHATML,
    "trims": CHATML.replace("m.content", "m.content | trim"),
    "begins": "{{ bos_token }}" + CHATML,
    "refuses a system prompt": "{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}" + CHATML,
    "system within the question": (
        "{% set own = messages[0].content + '\n' if messages[0].role == 'system' else '' %}"
        + LOOP.replace("BODY", "{% if m.role != 'system' %}[INST] {{ own }}{{ m.content }} [/INST]{% endif %}")
    ),
    "one question alone": "{% if messages | length > 2 %}{{ raise_exception('one') }}{% endif %}" + CHATML,
    "earlier thoughts left out": CHATML.replace("m.content", "m.content.split('</think>')[-1]"),
    "the assistant's part is marked": LOOP.replace("BODY", "{% generation %}{{ m.content }}{% endgeneration %}"),
    "a fixed date": "{% set date = date if date is defined else '26 Jul 2024' %}Today: {{ date }}\n" + CHATML,
    "the toy's own": json.loads((TOY / "tokenizer_config.json").read_text(encoding="utf-8"))["chat_template"],
}
FAULTS = {
    "a Python list": (CHATML.replace("m.content", "[m.content]"), "PRM-403"),
    "a message as a dictionary": (LOOP.replace("BODY", "{{ m }}"), "PRM-403"),
    "JSON": (CHATML.replace("m.content", "m.content | tojson"), "PRM-403"),
    "escaped for HTML": (CHATML.replace("m.content", "m.content | e"), "PRM-403"),
    "cut": (CHATML.replace("m.content", "m.content[:20]"), "PRM-403"),
    "in one line": (CHATML.replace("m.content", "m.content.replace('\n', ' ')"), "PRM-403"),
    "answers left out": (LOOP.replace("BODY", "{% if m.role == 'user' %}{{ m.content }}{% endif %}"), "PRM-403"),
    "system left out": (LOOP.replace("BODY", "{% if m.role != 'system' %}{{ m.content }}{% endif %}"), "PRM-403"),
    "two beginnings": ("{{ bos_token }}{{ bos_token }}" + CHATML, "PRM-404"),
    "a beginning in each turn, and one before": (
        "{{ bos_token }}" + LOOP.replace("BODY", "{{ bos_token + m.content }}"),
        "PRM-404",
    ),
    "the time": ("{{ strftime_now('%H:%M') }}" + CHATML, "PRM-405"),
    "the second": ("{{ strftime_now('%d %B, %X') }}" + CHATML, "PRM-405"),
}


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(TOY, bos_token="<|endoftext|>")


def failing(found: ChatTemplate) -> set[str]:
    """The ids of the checks that fail."""
    checks = {
        "PRM-403": prompt.messages_are_written_as_they_are,
        "PRM-404": prompt.text_begins_once,
        "PRM-405": prompt.text_does_not_depend_on_the_time,
    }
    failed = set()
    for name, each in checks.items():
        try:
            each(SimpleNamespace(chat_template=found))
        except Failure:
            failed.add(name)
    return failed


@pytest.mark.parametrize("template", SOUND.values(), ids=SOUND)
def test_sound_templates_pass(template: str, tokenizer: Any) -> None:
    found = observe_template(template, tokenizer)
    assert not found.refusal
    assert not failing(found)


@pytest.mark.parametrize(("template", "check"), FAULTS.values(), ids=FAULTS)
def test_a_fault_fails_its_check(template: str, check: str, tokenizer: Any) -> None:
    assert check in failing(observe_template(template, tokenizer))


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("a Python list", "as a Python value"),
        ("a message as a dictionary", "as a Python value"),
        ("JSON", "as JSON"),
        ("cut", "changes the content of the user turn, or leaves it out"),
        ("two beginnings", "'<|endoftext|>' twice"),
    ],
)
def test_the_cause_says_how_a_text_is_changed(fault: str, words: str, tokenizer: Any) -> None:
    template, name = FAULTS[fault]
    check: Any = {"PRM-403": prompt.messages_are_written_as_they_are, "PRM-404": prompt.text_begins_once}[name]
    with pytest.raises(Failure) as failure:
        check(SimpleNamespace(chat_template=observe_template(template, tokenizer)))
    assert words in failure.value.observed


@pytest.mark.parametrize(
    "use", ["{% set f = '%H' %}{{ strftime_now(f) }}", "{% set now = strftime_now %}{{ now('%H') }}"]
)
def test_a_time_whose_format_is_computed_is_not_passed(use: str, tokenizer: Any) -> None:
    found = observe_template(use + CHATML, tokenizer)
    with pytest.raises(Unavailable, match="a format that it computes"):
        prompt.text_does_not_depend_on_the_time(SimpleNamespace(chat_template=found))


def test_a_date_is_advice(tokenizer: Any) -> None:
    found = observe_template("Today: {{ strftime_now('%d %b %Y') }}" + CHATML, tokenizer)
    assert found.changes_by == "day"
    assert "today's date" in (prompt.text_does_not_depend_on_the_time(SimpleNamespace(chat_template=found)) or "")


@pytest.mark.parametrize("template", ["{% for m in messages %}", "{{ raise_exception('never') }}", "{{ 1 / 0 }}"])
def test_a_template_that_writes_nothing_is_not_examined(template: str, tokenizer: Any) -> None:
    found = observe_template(template, tokenizer)
    assert found.refusal
    with pytest.raises(Unavailable, match="cannot write a plain conversation"):
        prompt.messages_are_written_as_they_are(SimpleNamespace(chat_template=found))


def test_a_system_prompt_may_be_refused_but_not_left_out(tokenizer: Any) -> None:
    assert observe_template(CHATML, tokenizer).keeps_system is True
    assert observe_template(SOUND["refuses a system prompt"], tokenizer).keeps_system is None
