"""Messages name the user's paths, never those of a scratch folder; and the command to repeat is the user's own."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

from graders import BROKEN
from hypothesis import given
from hypothesis import strategies as st

from sft_ref.harness.core.verdict import Coverage
from sft_ref.harness.grading.rerun import rerun_command
from sft_ref.harness.report.files import as_json
from sft_ref.harness.report.user_paths import show_user_paths
from sft_ref.io.strict_json import to_text

SCRATCH = Path("/scratch/xyz/work")
NAMES = {str(SCRATCH / "code"): "alice.zip", str(SCRATCH): "(scratch folder)"}


def test_every_text_of_a_verdict_names_the_users_path() -> None:
    text = f"cannot read {SCRATCH}/code/sft.py, nor {SCRATCH}/saved/0"
    [*_, suspect] = BROKEN.suspects
    found = replace(
        BROKEN,
        cause=text,
        notes=(text,),
        cleared={"load": text},
        coverage=(Coverage("score", examined=False, reason=text),),
        suspects=(replace(suspect, cause=text, evidence=(text,), example=text),),
        results=tuple(replace(each, observed=text, expected=text, example=text, rerun=text) for each in BROKEN.results),
    )
    shown = show_user_paths(found, NAMES)
    assert str(SCRATCH) not in to_text(as_json(shown))
    assert shown.cause == "cannot read alice.zip/sft.py, nor (scratch folder)/saved/0"
    assert shown.status is BROKEN.status


def test_a_verdict_without_scratch_paths_stays_as_it_is() -> None:
    assert show_user_paths(BROKEN, NAMES) == BROKEN


@given(
    st.text(min_size=1).filter(lambda text: "\0" not in text), st.text(min_size=1).filter(lambda text: "\0" not in text)
)
def test_the_command_to_repeat_survives_a_shell(target: str, prompt: str) -> None:
    command = rerun_command(target, {"base": "toy", "prompt": prompt, "seed": 3, "data": None, "only": ()})
    assert shlex.split(command) == ["sft-ref", "grade", target, "--base", "toy", "--prompt", prompt, "--seed", "3"]
