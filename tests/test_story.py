"""The story as an experiment: an fp32 adapter loaded in fp16, with and without the parser fault; `-s` shows it."""

import math
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

import sft_ref
from sft_ref.reference.models import computing
from sft_ref.reference.prompt import CLOSE_TAG, OPEN_TAG

CHANGES = (
    ("nothing: the story", "fp16", "strict"),
    ("the dtype, as the diagnosis said", "fp32", "strict"),
    ("the dtype, to another one", "bf16", "strict"),
    ("the parser", "fp16", "ours"),
    ("the parser, and the dtype to another one", "bf16", "ours"),
    ("both", "fp32", "ours"),
)
"""What is put in place of what in the story: an adapter of fp32, loaded in fp16, read by a parser at fault."""

pytestmark = pytest.mark.slow

ROWS = sft_ref.split_rows("validation")[:200]


def strict_parse(text: str) -> float:
    """The fault: it wants the tag that the prompt has consumed."""
    found = re.search(f"{OPEN_TAG}(.*?){CLOSE_TAG}", text)
    return sft_ref.parse_answer(found.group(1)) if found else math.nan


@dataclass(frozen=True)
class Loaded:
    """What one load policy gives: scores under both parsers, and the logits of the prompts."""

    ours: sft_ref.Score
    strict: sft_ref.Score
    logits: torch.Tensor


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Loaded]:
    folder = tmp_path_factory.mktemp("story") / "adapter"
    sft_ref.train(folder, base="toy", policy="fp32")
    return {policy: ask(folder, policy) for policy in ("fp32", "bf16", "fp16")}


def ask(folder: Path, policy: str) -> Loaded:
    llm = sft_ref.load(folder, policy=policy)
    questions, truths = zip(*ROWS, strict=True)
    prompts = [llm.format_prompt(question) for question in questions]
    texts = llm.batched_generate(prompts)
    batch = llm.tokenizer(prompts, padding=True, padding_side="left", return_tensors="pt").to(llm.device)
    with torch.inference_mode(), computing(llm.model, llm.policy):
        logits = llm.model(**batch).logits[:, -1].float().cpu()
    scores = [sft_ref.score([parse(text) for text in texts], truths) for parse in (sft_ref.parse_answer, strict_parse)]
    return Loaded(scores[0], scores[1], logits)


def figures(seen: Loaded, parser: str, due: torch.Tensor) -> str:
    """The measured cells of a line: score under a parser, and how far logits moved."""
    score = seen.ours if parser == "ours" else seen.strict
    moved = (seen.logits - due).abs().max().item()
    same = (seen.logits.argmax(1) == due.argmax(1)).float().mean().item()
    return f"{score.answer_rate:.2f} | {score.accuracy:.2f} | {moved:.2g} | {same:.1%}"


def table(story: dict[str, Loaded]) -> str:
    """The experiment as the page shows it."""
    due = story["fp32"].logits
    lines = [
        "| what is changed | loaded under | parser | answer_rate | accuracy | largest change of a logit | same token |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *(
            f"| {change} | {policy} | {parser} | {figures(story[policy], parser, due)} |"
            for change, policy, parser in CHANGES
        ),
    ]
    return "\n".join(lines)


def test_another_dtype_at_load_moves_logits_and_loses_no_answer(story: dict[str, Loaded]) -> None:
    print(table(story))
    due = story["fp32"]
    assert due.ours.answer_rate >= 0.95
    for policy in ("bf16", "fp16"):
        seen = story[policy]
        assert seen.logits.isfinite().all()
        assert not torch.equal(seen.logits, due.logits)
        assert seen.ours.answer_rate >= due.ours.answer_rate - 0.02
        assert seen.ours.accuracy >= due.ours.accuracy - 0.05


def test_a_parser_that_wants_the_consumed_tag_loses_every_answer_in_every_precision(story: dict[str, Loaded]) -> None:
    for seen in story.values():
        assert (seen.strict.answer_rate, seen.strict.accuracy) == (0, 0)


def test_only_the_change_of_the_parser_brings_the_answers_back(story: dict[str, Loaded]) -> None:
    rates = {
        change: (story[policy].ours if parser == "ours" else story[policy].strict).answer_rate
        for change, policy, parser in CHANGES
    }
    assert rates["nothing: the story"] == rates["the dtype, as the diagnosis said"] == 0
    assert min(rates["the parser"], rates["both"]) >= 0.95


def test_the_page_shows_what_is_measured(story: dict[str, Loaded], pytestconfig: pytest.Config) -> None:
    page = (pytestconfig.rootpath / "docs" / "story.md").read_text(encoding="utf-8")
    due = story["fp32"].logits
    for change, policy, parser in CHANGES:
        [line] = [line for line in page.splitlines() if line.startswith(f"| {change} | {policy} | {parser} |")]
        shown = [float(cell.strip(" %")) for cell in line.strip("|").split("|")[3:]]
        found = [float(cell.strip(" %")) for cell in figures(story[policy], parser, due).split("|")]
        # another processor rounds otherwise, and training carries that on to a few answers in a hundred
        for one, other, apart in zip(shown, found, (0.05, 0.1, math.inf, 2.0), strict=True):
            assert one == pytest.approx(other, abs=apart)
        assert (shown[2] == 0) == (found[2] == 0)
        assert found[2] / 5 <= shown[2] <= found[2] * 5
