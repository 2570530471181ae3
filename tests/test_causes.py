"""The cause in a verdict is one plain sentence: what a check observed, what it expected, and its id."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import sft_ref.harness.checks
from sft_ref.harness.core.check import Check, Level, Outcome, Result
from sft_ref.harness.verdict.diagnosis import suspects_of

CHECKS = Path(sft_ref.harness.checks.__file__).parent
VERB = re.compile(
    r"\b(is|are|was|has|have|had|does|do|reads|reached|takes?|gives?|gets?|lacks?|holds?|names?|differs?|raises|returns|ends?|begins?|comes?"
    r"|writes|shows|sees|saves|reports|changes?|changed|compute|fall(s)?|lists|leaves|contains?|occurs?|stops|cuts?|loads|adds|cannot)\b"
)
FILLED = {
    "the file _ the _ token to each text, and the base's tokenizer _ it",
    "after answering, _",
    "the template __",
    "loading _",
    "training _",
}
"""Texts whose verb is filled in."""
VARIABLES = ("seen", "observed", "measured")


def result(observed: str, expected: str = "float32, as trained") -> Result:
    one = Check("LOD-005", "It has the trained dtypes", Level.UNIVERSAL, "why", "mend it", (), "", lambda: None)
    return Result(one, Outcome.FAIL, 0.0, observed=observed, expected=expected)


@pytest.mark.parametrize(
    ("observed", "cause"),
    [
        ("the loss is nan", "The loss is nan; expected: float32, as trained (LOD-005)"),
        ("lm_head.weight is float16", "lm_head.weight is float16; expected: float32, as trained (LOD-005)"),
        ("peft ignores it", "peft ignores it; expected: float32, as trained (LOD-005)"),
        ("0.3", "Found 0.3; expected: float32, as trained (LOD-005)"),
    ],
    ids=["capital", "name of a tensor", "name of a library", "one word"],
)
def test_a_cause_is_a_sentence_with_what_was_observed(observed: str, cause: str) -> None:
    [suspect] = suspects_of([result(observed)])
    assert suspect.cause == cause


def test_what_checks_observe_has_a_verb() -> None:
    without = [
        f"{path.name}:{line}: {text}"
        for path in sorted(CHECKS.rglob("*.py"))
        for line, text in observed_texts(path)
        if not VERB.search(text) and text not in FILLED
    ]
    assert not without


def observed_texts(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of each `Failure`, with `_` for what is filled in; those that evidence words are left out."""
    for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(function, ast.FunctionDef):
            continue
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                given = node.value if node.targets[0].id in VARIABLES else None
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Failure":
                given = node.args[0]
            else:
                continue
            if isinstance(given, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else "_" for part in given.values]
                text = "".join(map(str, parts))
            elif isinstance(given, ast.Constant):
                text = str(given.value)
            else:
                continue
            if re.search(r"[a-z]", text.replace("_", "")):  # else a value alone, such as another clause
                yield node.lineno, text
