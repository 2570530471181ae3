"""What a chat template does to tools, to a content that is null, and to contents in parts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from transformers import AutoTokenizer

from sft_ref.harness.checks.shared import prompt
from sft_ref.harness.core.findings import Failure
from sft_ref.harness.core.verdict import Status
from sft_ref.harness.evidence.views import ChatTemplate
from sft_ref.harness.grading.dataset import grade_dataset
from sft_ref.harness.recorders.folder.chat_template import observe_template
from sft_ref.reference.bases.find import TOY

HEADER = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
CHATML = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}" + HEADER
SCHEMAS = "{% if tools %}<|im_start|>system\n{{ tools | tojson }}<|im_end|>\n{% endif %}"
CALLS = (
    "{% for c in m.tool_calls or [] %}"
    '<call>{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments | tojson }}}</call>'
    "{% endfor %}"
)
WITH_TOOLS = SCHEMAS + CHATML.replace("{{ m.content }}", "{{ m.content or '' }}" + CALLS)
PAIRS = '{% for k, v in c.function.arguments.items() %}"{{ k }}":VALUE,{% endfor %}'
SOUND = {
    "no word of tools": CHATML,
    "schemas and calls in JSON": WITH_TOOLS,
    "calls alone": WITH_TOOLS.removeprefix(SCHEMAS),
    "schemas within a system turn": CHATML.replace(
        "{{ m.content }}", "{{ m.content }}{% if m.role == 'system' and tools %}{{ tools | tojson }}{% endif %}"
    ),
    "schemas as a key of a message": CHATML.replace(
        "{{ m.content }}", "{{ m.content }}{% if m['tools'] %}{{ m['tools'] | tojson }}{% endif %}"
    ),
    "a variable of its own": "{% set tools = [] %}" + CHATML,
    "calls as Python writes them": WITH_TOOLS.replace(
        "{{ c.function.arguments | tojson }}",
        "{% for k, v in c.function.arguments.items() %}{{ k }}={{ v }}{% endfor %}",
    ),
    "calls beside a null content alone": WITH_TOOLS.replace(
        CALLS, "{% if m.content is none %}" + CALLS + "{% endif %}"
    ),
    "arguments as a text alone": WITH_TOOLS.replace(
        "{{ c.function.arguments | tojson }}", "{{ '' + c.function.arguments }}"
    ),
    "refuses calls": "{% for m in messages if m.tool_calls %}{{ raise_exception('no tools') }}{% endfor %}" + CHATML,
    "refuses results": "{% for m in messages if m.role == 'tool' %}{{ raise_exception('no') }}{% endfor %}"
    + WITH_TOOLS,
}
FAULTS = {
    "schemas left out": ("{% if tools %}Use tools.\n{% endif %}" + CHATML, "leaves out the tools"),
    "schemas as Python": (WITH_TOOLS.replace("tools | tojson", "tools"), "schema of a tool as a Python dictionary"),
    "calls left out": (
        "{% for m in messages if m.tool_calls %}(calls){% endfor %}" + CHATML.replace("m.content", "m.content or ''"),
        "leaves out the call",
    ),
    "arguments left out": (
        WITH_TOOLS.replace("{{ c.function.arguments | tojson }}", "{}"),
        "leaves out the call of a tool, or its arguments",
    ),
    "arguments as Python": (
        WITH_TOOLS.replace("arguments | tojson", "arguments"),
        "arguments of a call as a Python dictionary",
    ),
    "the call as Python": (WITH_TOOLS.replace(CALLS, "{{ m.tool_calls or '' }}"), "as a Python dictionary"),
    "one null as None": (
        WITH_TOOLS.replace(
            "{{ c.function.arguments | tojson }}",
            "{ " + PAIRS.replace("VALUE", "{% if v is boolean %}{{ v | tojson }}{% else %}{{ v }}{% endif %}") + " }",
        ),
        "prints null in the arguments of a call as None",
    ),
    "results left out": (
        WITH_TOOLS.replace("{% for m in messages %}", "{% for m in messages if m.role != 'tool' %}"),
        "leaves out the result of a tool",
    ),
    "null content as None": (WITH_TOOLS.replace("m.content or ''", "m.content"), "null content"),
}
TEXT_OF = (
    "{% if m.content is string %}{{ m.content }}{% else %}{{ m.content | map(attribute='text') | join }}{% endif %}"
)
ROLES = ("user", "assistant", "system")
PARTS = CHATML.replace("{{ m.content }}", TEXT_OF)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(TOY)


def judge(found: ChatTemplate, check: Any = prompt.tools_are_written) -> str | None:
    advice: str | None = check(SimpleNamespace(chat_template=found))
    return advice


@pytest.mark.parametrize("template", SOUND.values(), ids=SOUND)
def test_sound_templates_pass(template: str, tokenizer: Any) -> None:
    found = observe_template(template, tokenizer)
    assert not found.refusal
    judge(found)


@pytest.mark.parametrize(("template", "seen"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_named(template: str, seen: str, tokenizer: Any) -> None:
    with pytest.raises(Failure) as failure:
        judge(observe_template(template, tokenizer))
    assert failure.value.observed.startswith("the template ")
    assert seen in failure.value.observed


def test_several_faults_are_named_in_one_sentence(tokenizer: Any) -> None:
    both = WITH_TOOLS.replace("tools | tojson", "tools").replace("m.content or ''", "m.content")
    with pytest.raises(Failure, match=r"prints the schema .* dictionary, and prints the null content"):
        judge(observe_template(both, tokenizer))


def test_a_result_in_parts_that_is_printed_as_a_list_is_advice(tokenizer: Any) -> None:
    assert "as a Python list" in (judge(observe_template(WITH_TOOLS, tokenizer)) or "")
    assert judge(observe_template(WITH_TOOLS.replace("{{ m.content or '' }}", TEXT_OF), tokenizer)) is None


@pytest.mark.parametrize(
    ("template", "parts"),
    [
        (CHATML, dict.fromkeys(ROLES, "list")),
        (PARTS, dict.fromkeys(ROLES, "text")),
        (CHATML.replace("m.content", "'' + m.content"), {}),
        (CHATML.replace("m.content", "m.content if m.content is string"), dict.fromkeys(ROLES, "lost")),
    ],
    ids=["lists", "texts", "refused", "lost"],
)
def test_parts_are_followed_by_role(template: str, parts: dict[str, str], tokenizer: Any) -> None:
    assert observe_template(template, tokenizer).parts == parts


@pytest.mark.parametrize(
    ("other", "seen"),
    [("{{ m.content }}", "prints as a list"), ("{{ m.content if m.content is string }}", "leaves out")],
)
def test_parts_of_one_role_alone_fail(other: str, seen: str, tokenizer: Any) -> None:
    uneven = CHATML.replace(
        "{{ m.content }}", "{% if m.role == 'system' %}" + other + "{% else %}" + TEXT_OF + "{% endif %}"
    )
    with pytest.raises(Failure, match=f"{seen} the content of the system turn"):
        judge(observe_template(uneven, tokenizer), prompt.messages_are_written_as_they_are)


@pytest.mark.parametrize(("template", "is_sound"), [(CHATML, False), (PARTS, True)], ids=["ChatML", "writes parts"])
def test_rows_in_parts_need_a_template_that_writes_parts(template: str, is_sound: bool, tmp_path: Path) -> None:
    base = Path(shutil.copytree(TOY, tmp_path / "base", ignore=shutil.ignore_patterns("*.safetensors")))
    path = base / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), "chat_template": template}))
    rows = []
    for number in range(20):
        question = [{"type": "text", "text": f"How many g are {number} kg?"}]
        answer = {"role": "assistant", "content": str(1000 * number)}
        rows.append({"messages": [{"role": "user", "content": question}, answer]})
    data = tmp_path / "rows.jsonl"
    data.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    verdict = grade_dataset(data, "rows", base=str(base))
    failed = {result.check.id for result in verdict.results if result.outcome == "fail"}
    assert ("PRM-403" in failed) is not is_sound, verdict.cause
    assert is_sound or verdict.status is Status.DRIFT
