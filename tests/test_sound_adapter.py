"""A sound adapter in place of one that was not learned reaches each folder that is read; no other file is lost."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sft_ref.harness.recorders.submission.recording import Recording
from sft_ref.io.lora_config import CONFIG, PICKLE, WEIGHTS


@pytest.mark.parametrize("inner", ["checkpoint-50", "", "a/b"])
def test_it_reaches_each_folder_that_is_read_and_loses_no_other_file(inner: str, tmp_path: Path) -> None:
    sound, output = tmp_path / "sound", tmp_path / "work" / "homework" / "sft_model"
    read_from = output / inner
    for folder in (sound, output, read_from):
        folder.mkdir(parents=True, exist_ok=True)
        for name in (CONFIG, WEIGHTS):
            (folder / name).write_text(folder.name)
    for name in (PICKLE, "tokenizer.json", "trainer_state.json"):
        (read_from / name).write_text("own")
    recording: Any = SimpleNamespace(
        **dict.fromkeys(("is_custom_lora", "is_custom_form", "is_saved_well", "has_learned"), False),
        asked=None,
        sound_folder=sound,
        output=output,
        read_from=read_from,
        ask=str,
        workplace=SimpleNamespace(folder=tmp_path / "work"),
    )
    Recording.ask_with_sound_adapter(recording)
    assert recording.with_adapter == "again"
    for folder in (output, read_from):
        assert [(folder / name).read_text() for name in (CONFIG, WEIGHTS)] == ["sound", "sound"]
    assert [(read_from / name).read_text() for name in ("tokenizer.json", "trainer_state.json")] == ["own", "own"]
    assert not (read_from / PICKLE).exists()
