"""What is not LoRA is not judged, what is not at hand is bad input, and nothing of a foreign folder is obeyed."""

from __future__ import annotations

import json
import os
import shutil
import struct
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import families
import peft
import pytest

from sft_ref.errors import BaseModelError, SubmissionError
from sft_ref.harness.core.check import Outcome
from sft_ref.harness.core.sizes import SizeLimits
from sft_ref.harness.core.verdict import Status, Verdict
from sft_ref.harness.grading.folder import grade_adapter
from sft_ref.harness.grading.kinds import find_kind
from sft_ref.harness.grading.targets import find_targets
from sft_ref.io.patterns import is_harmless
from sft_ref.io.reading import UnreadableError
from sft_ref.io.tensor_headers import read_header

Sound = Callable[[Path, Path], Verdict]
Broken = Callable[..., Verdict]

KINDS: dict[str, Callable[[], Any]] = {
    "IA3": lambda: peft.IA3Config(target_modules=["q_proj", "down_proj"], feedforward_modules=["down_proj"]),
    "LOHA": lambda: peft.LoHaConfig(target_modules=["q_proj"]),
    "LOKR": lambda: peft.LoKrConfig(target_modules=["q_proj"]),
    "OFT": lambda: peft.OFTConfig(target_modules=["q_proj"], r=4, oft_block_size=0),
    "VERA": lambda: peft.VeraConfig(target_modules=["q_proj"], r=4),
    "PREFIX_TUNING": lambda: peft.PrefixTuningConfig(num_virtual_tokens=4),
    "PROMPT_TUNING": lambda: peft.PromptTuningConfig(num_virtual_tokens=4),
}


def grade(folder: Path, base: Path | str | None, **options: Any) -> Verdict:
    return grade_adapter(folder, folder.name, base=str(base) if base else None, prompt=None, **options)


def assert_not_judged(verdict: Verdict, reason: str) -> None:
    assert verdict.status is Status.NOT_SHOWN
    assert verdict.examined_stages == ()
    assert not verdict.suspects
    assert {each.outcome for each in verdict.results} == {Outcome.SKIPPED}
    assert verdict.coverage_text == (
        f"Not examined: artifact, load, base identity, scaling, prompt, generate (not judged: {reason})."
    )


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_lora_is_not_judged(kind: str, llama: Path, tmp_path: Path) -> None:
    config = KINDS[kind]()
    config.task_type = "CAUSAL_LM"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peft.get_peft_model(families.load_base(llama), config).save_pretrained(str(tmp_path / "adapter"))
    assert_not_judged(grade(tmp_path / "adapter", llama), f"peft type {kind}")


def test_what_a_newer_peft_may_write_is_not_judged_and_what_it_leaves_unset_is_ignored(
    adapter: Path, llama: Path, assert_sound: Sound
) -> None:
    families.edit_config(adapter, another=False, tables={})
    [advice] = [each for each in assert_sound(adapter, llama).results if each.check.id == "ART-201"]
    assert "another, tables" in advice.observed
    families.edit_config(adapter, new_option={"a": 1})
    assert_not_judged(grade(adapter, llama), "new_option in the configuration")
    families.edit_config(adapter, new_option=None, peft_type="NEWER")
    assert_not_judged(grade(adapter, llama), "peft type NEWER")
    families.edit_config(adapter, peft_type="LORA", task_type="SEQ_CLS")
    assert_not_judged(grade(adapter, llama), "task type SEQ_CLS")


@pytest.mark.parametrize(
    "options", [{"alora_invocation_tokens": [1]}, {"use_qalora": True}, {"megatron_config": {"a": 1}}]
)
def test_variants_that_compute_otherwise_are_not_judged(options: dict[str, Any], adapter: Path, llama: Path) -> None:
    families.edit_config(adapter, **options)
    assert_not_judged(grade(adapter, llama), f"{next(iter(options))} in the configuration")


@pytest.mark.parametrize("start", ["pissa_niter_20000", "olora", "loftq", "corda"])
def test_an_initialisation_that_changes_the_base_leaves_load_unjudged_and_is_not_computed(
    start: str, adapter: Path, llama: Path
) -> None:
    families.edit_config(adapter, init_lora_weights=start)
    began = time.process_time()
    verdict = grade(adapter, llama)
    assert time.process_time() - began < 20
    assert verdict.status is Status.NOT_SHOWN
    assert verdict.examined_stages == ("artifact",)
    assert f"init_lora_weights '{start}' may change the base's weights" in verdict.coverage_text


@pytest.mark.parametrize("start", ["eva", "gaussian", "orthogonal", False])
def test_an_initialisation_that_leaves_the_base_alone_is_sound(
    start: object, adapter: Path, llama: Path, assert_sound: Sound
) -> None:
    assert_sound(families.edit_config(adapter, init_lora_weights=start), llama)


def test_a_base_that_is_not_at_hand_is_bad_input(adapter: Path, no_hub: Path) -> None:
    families.edit_config(adapter, base_model_name_or_path="someone/some-model")
    with pytest.raises(BaseModelError, match="unknown base 'someone/some-model'"):
        grade(adapter, None)
    families.edit_config(adapter, base_model_name_or_path=None)
    with pytest.raises(SubmissionError, match="names no base; give --base"):
        grade(adapter, None)


def test_a_base_without_a_causal_language_model_is_bad_input(adapter: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "vit"}')
    with pytest.raises(BaseModelError, match="not a causal language model"):
        grade(adapter, tmp_path)


def test_a_base_may_be_a_relative_folder(
    adapter: Path, llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(llama, tmp_path / "base")
    families.edit_config(adapter, base_model_name_or_path="base")
    monkeypatch.chdir(tmp_path)
    assert grade(adapter, None).examined_stages == grade(adapter, "./base").examined_stages == ("artifact", "load")


@pytest.mark.parametrize("prompt", ["no places", "{answer} {question}"])
def test_a_prompt_without_question_and_answer_is_bad_input(prompt: str, adapter: Path, llama: Path) -> None:
    with pytest.raises(SubmissionError, match=r"^--prompt"):
        grade_adapter(adapter, "adapter", base=str(llama), prompt=prompt)


def test_braces_in_a_prompt_are_taken_as_they_are(adapter: Path, llama: Path) -> None:
    verdict = grade_adapter(adapter, "adapter", base=str(llama), prompt='{"q": "{question}", "a": {answer}}')
    assert verdict.status is Status.NOT_SHOWN


def test_several_named_adapters_are_told_apart(adapter: Path, llama: Path, assert_sound: Sound) -> None:
    for name in ("second", "checkpoint-60"):
        shutil.copytree(adapter, adapter.parent / "other", dirs_exist_ok=True)
        shutil.move(adapter.parent / "other", adapter / name)
    families.drop(adapter / "second", ".layers.0.")  # which is not graded
    notes = assert_sound(adapter, llama).notes
    assert any("the folder also contains checkpoint-60, second" in note for note in notes)
    assert find_kind(str(adapter)) == ("adapter", adapter)
    assert find_targets([str(adapter)]).targets == (str(adapter),)


def test_adapters_side_by_side_are_asked_back_or_graded_each(adapter: Path) -> None:
    shutil.copytree(adapter, adapter.parent / "second")
    with pytest.raises(SubmissionError, match=r"holds adapters in .*adapter and .*second; give one of them"):
        find_kind(str(adapter.parent))
    assert [Path(each).name for each in find_targets([str(adapter.parent)]).targets] == ["adapter", "second"]


SUBMISSION = "def format_prompt(q): ...\ndef train(f): ...\ndef load(f): ...\ndef test(f): ...\n"


@pytest.mark.parametrize("name", ["train.py", "sft.py", "scripts/run.py"])
def test_a_script_beside_an_adapter_does_not_make_it_code(name: str, adapter: Path) -> None:
    (adapter / name).parent.mkdir(exist_ok=True)
    (adapter / name).write_text("import trl\n\nif __name__ == '__main__':\n    main()\n")
    assert find_kind(str(adapter)) == ("adapter", adapter)
    assert find_targets([str(adapter)]).targets == (str(adapter),)


def test_an_adapter_in_a_folder_with_a_script_is_found(adapter: Path) -> None:
    (adapter.parent / "code").mkdir()
    (adapter.parent / "code" / "train.py").write_text("")
    assert find_targets([str(adapter.parent)]).targets == (str(adapter.parent),)
    assert find_kind(str(adapter.parent)) == ("adapter", adapter)


@pytest.mark.parametrize("files", [{"mine.py": SUBMISSION}, {"sft.py": "", "base_llm.py": ""}])
def test_a_submission_that_holds_an_adapter_stays_code(files: dict[str, str], adapter: Path, tmp_path: Path) -> None:
    for folder in (adapter, tmp_path):  # at the adapter's top, and above it
        for name, text in files.items():
            (folder / name).write_text(text)
        assert find_kind(str(folder)) == ("code", folder)
        for name in files:
            (folder / name).unlink()
    (tmp_path / "sft.py").write_text("")  # a broken submission may lack the other file
    assert find_kind(str(tmp_path)) == ("code", tmp_path)


def test_a_link_out_of_the_folder_is_not_followed(adapter: Path, llama: Path, tmp_path: Path) -> None:
    path = adapter / families.WEIGHTS
    shutil.move(path, tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SubmissionError, match="is a link that leads out of its folder"):
        grade(adapter, llama)


def test_links_of_the_hub_s_cache_are_followed(adapter: Path, llama: Path, tmp_path: Path, assert_sound: Sound) -> None:
    snapshot, blobs = tmp_path / "models--a--b" / "snapshots" / "abc", tmp_path / "models--a--b" / "blobs"
    snapshot.mkdir(parents=True)
    shutil.copytree(adapter, blobs)
    for path in blobs.iterdir():
        (snapshot / path.name).symlink_to(Path("..", "..", "blobs", path.name))
    assert_sound(snapshot, llama)


def test_a_pipe_in_the_place_of_the_tensors_is_not_waited_for(
    adapter: Path, llama: Path, assert_broken: Broken
) -> None:
    (adapter / families.WEIGHTS).unlink()
    os.mkfifo(adapter / families.WEIGHTS)
    assert_broken(adapter, llama, "ART-202", "no adapter_model.safetensors")


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"\xff" * 8,
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 20000) + b"[" * 20000,
        struct.pack("<Q", 58) + b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,99999]}}',
        struct.pack("<Q", 54) + b'{"a":{"dtype":"F32","shape":[-4],"data_offsets":[0,0]}}',
        struct.pack("<Q", 12) + b'{"a":"weird"}',
    ],
)
def test_a_header_that_is_none_is_damage_and_nothing_else(
    header: bytes, adapter: Path, llama: Path, assert_broken: Broken
) -> None:
    (adapter / families.WEIGHTS).write_bytes(header)
    with pytest.raises(UnreadableError):
        read_header(adapter / families.WEIGHTS)
    assert_broken(adapter, llama, "ART-204")


def test_tensors_that_overlap_are_damage(adapter: Path, llama: Path, assert_broken: Broken) -> None:
    about = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    header = json.dumps({"a": about, "b": about}).encode()
    (adapter / families.WEIGHTS).write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 4)
    families.edit_config(adapter, target_modules=["q_proj"])
    assert "ART-204" in {each.check.id for each in grade(adapter, llama).results if each.outcome is Outcome.FAIL}


@pytest.mark.parametrize("text", ["[]", "{", "[" * 100_000, '"LORA"'])
def test_a_configuration_that_is_no_object_is_broken(
    text: str, adapter: Path, llama: Path, assert_broken: Broken
) -> None:
    (adapter / families.CONFIG).write_text(text)
    assert_broken(adapter, llama, "ART-201", "adapter_config.json")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"r": -1}, "r is -1: expected `int` >= 1"),
        ({"r": True}, "r is True: expected `int | null`, got `bool`"),
        ({"lora_alpha": "16"}, "lora_alpha is '16'"),
        ({"rank_pattern": {"q_proj": 0}}, "rank_pattern is"),
        ({"target_modules": None}, "no target_modules"),
        ({"bias": "some"}, "bias is 'some': invalid enum value"),
        ({"modules_to_save": "lm_head"}, "modules_to_save is 'lm_head': expected `array | null`"),
        ({"layers_to_transform": ["a"]}, "layers_to_transform is"),
        ({"peft_type": None}, "no peft_type"),
    ],
)
def test_values_that_peft_cannot_use_are_named(
    changes: dict[str, Any], words: str, adapter: Path, llama: Path, assert_broken: Broken
) -> None:
    assert_broken(families.edit_config(adapter, **changes), llama, "ART-201", words)


def test_an_absurd_token_is_refused_before_anything_is_resized(
    adapter: Path, llama: Path, assert_broken: Broken
) -> None:
    families.edit_config(adapter, trainable_token_indices=[10**12])
    assert_broken(adapter, llama, "ART-211", "names token 1000000000000, and the base has 96")


@pytest.mark.parametrize("pattern", ["(a+)+$", "(?:.*.*)*x", ".*" * 20, "a" * 5000, "(a|a)*b", "((q|v)_?)*$"])
def test_patterns_that_take_for_ever_are_not_matched(pattern: str, adapter: Path, llama: Path) -> None:
    assert not is_harmless(pattern)
    families.edit_config(adapter, target_modules=pattern)
    assert_not_judged(grade(adapter, llama), "target_modules with a regular expression that may take forever to match")


@pytest.mark.parametrize(
    "pattern",
    [
        r".*\.(q_proj|v_proj)$",
        r"^(?!.*vision).*(?:q|k|v|o)_proj$",
        r"(?:.*?(?:language|text).*?(?:self_attn|mlp).*?(?:q_proj|k_proj).*?)|(?:\bmodel\.layers\.[\d]{1,}\.(?:mlp)\.up_proj)",
        r"model\.layers\.(0|1|2)\..*",
        "(",
    ],
)
def test_patterns_that_tools_write_are_matched(pattern: str) -> None:
    assert is_harmless(pattern)


def test_sizes_bind_only_where_a_limit_is_given(adapter: Path, llama: Path, assert_sound: Sound) -> None:
    verdict = assert_sound(adapter, llama)
    assert "million parameters with the adapter" in verdict.size
    for name, failed in (("adapter", "ART-007"), ("bundle", "ART-007"), ("parameters", "ART-008")):
        limited = grade(adapter, llama, sizes=SizeLimits(**{name: 1000}))
        assert [each.check.id for each in limited.results if each.outcome is Outcome.FAIL] == [failed]
        assert limited.examined_stages == ("artifact", "load")
    assert not grade(adapter, llama, sizes=SizeLimits(10**9, 10**9, 10**9)).suspects


@pytest.mark.parametrize("is_asked_for", [True, False])
def test_a_base_that_only_the_configuration_names_is_not_fetched(
    is_asked_for: bool, adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[dict[str, Any]] = []

    def fetch(_name: str, **options: Any) -> str:
        calls.append(options)
        raise OSError("it is not there")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    families.edit_config(adapter, base_model_name_or_path="someone/model")
    with pytest.raises(BaseModelError, match="unknown base 'someone/model'"):
        grade(adapter, "someone/model" if is_asked_for else None)
    assert [call["local_files_only"] for call in calls] == [not is_asked_for]
