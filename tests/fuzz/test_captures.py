"""What a submission's processes wrote is read, and what is drawn from it never breaks; no model is run for that."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

import pytest
import recorded
from hypothesis import strategies as st

from sft_ref.harness.recorders.submission.captured import Captured
from sft_ref.harness.recorders.submission.workplace import _read

from .conftest import Search
from .strategies import changed, documents

Sections = dict[str, dict[str, object]]
NONCE = secrets.token_hex(16)


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Sections]]:
    work, sections = recorded.record(tmp_path_factory.mktemp("capture") / "work")
    return work, sections


def draw_conclusions(captured: Captured) -> None:
    """Everything that is computed from the sections alone."""
    captured.ask_own()
    for told in (captured.training, captured.asked):
        assert all(isinstance(note, str) for note in told.notes)
        told.ended_early  # noqa: B018
        told.crash("start", "load", "answers", "score", "training_log")
    for name in ("readable", "probed", "texts", "convention", "closing", "steps", "losses", "trained_others"):
        getattr(captured, name)
    for name in ("known_rows", "scripts", "score_lines", "parse_texts", "supervised_lead", "named_base", "read_from"):
        getattr(captured, name)
    assert len(captured.answers(captured.asked)) == len(captured.questions)
    assert all(0 <= score <= 1 for score in captured.scores)
    assert len(captured.prompts(captured.asked, captured.questions)) == len(captured.questions)
    captured.written_right(captured.asked)


def test_files_that_the_agent_may_not_have_written(fuzz: Search, scratch: Path) -> None:
    def read(data: bytes) -> None:
        (scratch / "end.json").write_bytes(data)
        for section in _read(scratch, NONCE).values():
            assert isinstance(section, dict)
            assert "nonce" not in section

    fuzz(read, documents([{"nonce": NONCE, "notes": ["shortened"]}]))


def test_sections_with_other_values(
    fuzz: Search, capture: tuple[Path, dict[str, Sections]], scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, whole = capture

    @st.composite
    def changes(draw: st.DrawFn) -> tuple[str, str, object]:
        command = draw(st.sampled_from(sorted(whole)))
        name = draw(st.sampled_from(sorted(whole[command])))
        return command, name, draw(changed([whole[command][name]]))

    def read(change: tuple[str, str, object]) -> None:
        command, name, section = change
        (scratch / f"{name}.json").write_text(
            json.dumps({**section, "nonce": NONCE} if isinstance(section, dict) else section)
        )
        others: Sections = {each: content for each, content in whole[command].items() if each != name}
        monkeypatch.setitem(recorded.RECORDED, command, others | _read(scratch, NONCE))
        monkeypatch.setitem(recorded.RECORDED, *next(pair for pair in whole.items() if pair[0] != command))
        (scratch / f"{name}.json").unlink()
        draw_conclusions(recorded.make(work))

    fuzz(read, changes())
