"""Adapters as the tools that train them leave them: peft, TRL, axolotl, LLaMA-Factory, unsloth, torchtune.

Each fixture is an adapter that peft trains here, in a folder with the configuration and the files that the tool writes.
"""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import families
import pytest
from large_shapes import ATTENTION, MLP
from peft import PeftModel

from sft_ref.harness.core.check import Outcome
from sft_ref.harness.core.verdict import Status, Verdict
from sft_ref.harness.grading.folder import grade_adapter
from sft_ref.harness.grading.kinds import find_kind

Sound = Callable[[Path, Path], Verdict]
Broken = Callable[..., Verdict]

PREFIX = "base_model.model."
LINEARS = [*ATTENTION, *MLP]


def write(folder: Path, *names: str) -> None:
    """Files of a training run, as their names say; what is pickled does harm if it is opened."""
    for name in names:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        if path.suffix == ".json":
            path.write_text('{"train_loss": 0.5}')
        elif path.suffix in (".bin", ".pt", ".pth"):
            path.write_bytes(b"c__builtin__\nexec\n(Vraise SystemExit('a pickle was opened')\ntR.")
        else:
            path.write_text("x")


def write_tokenizer(folder: Path) -> None:
    """A tokenizer of as many words as the base has rows, as save_pretrained writes it."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({f"t{number}": number for number in range(families.VOCABULARY)}))
    special = {"pad_token": "t0", "bos_token": "t1", "eos_token": "t2"}
    PreTrainedTokenizerFast(tokenizer_object=words, **special, chat_template="{{ messages }}").save_pretrained(folder)


def as_checkpoint(folder: Path) -> None:
    """A checkpoint of Trainer, in the folder of the run."""
    names = ("optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json", "training_args.bin")
    checkpoint = folder / "checkpoint-3"
    checkpoint.mkdir()
    for name in (families.CONFIG, families.WEIGHTS):
        shutil.copy(folder / name, checkpoint)
    write(checkpoint, *names)


def peft(folder: Path, _base: Path) -> None:
    """Peft's save_pretrained: configuration, tensors, README.md."""
    assert (folder / "README.md").is_file()


def trl(folder: Path, _base: Path) -> None:
    """SFTTrainer: tokenizer with its chat template, training_args.bin, a folder for each checkpoint."""
    write_tokenizer(folder)
    write(folder, "training_args.bin", "README.md", "runs/events.out.tfevents.1")
    as_checkpoint(folder)


def axolotl(folder: Path, base: Path) -> None:
    """axolotl: the base's config.json as well, and a folder `merged` once merge-lora has run."""
    write_tokenizer(folder)
    shutil.copy(base / "config.json", folder)
    write(folder, "debug.log", "README.md")
    as_checkpoint(folder)
    model = PeftModel.from_pretrained(families.load_base(base), str(folder))
    model.merge_and_unload().save_pretrained(folder / "merged")


def llama_factory(folder: Path, _base: Path) -> None:
    """LLaMA-Factory: figures and logs of the run; a pattern of names or a list as target_modules."""
    write_tokenizer(folder)
    write(folder, "all_results.json", "train_results.json", "trainer_log.jsonl", "trainer_state.json")
    write(folder, "training_args.bin", "training_loss.png", "llamaboard_config.yaml", "running_log.txt")
    as_checkpoint(folder)


def unsloth(folder: Path, _base: Path) -> None:
    """unsloth: a quantised base's name, its own mapping of classes, and a long pattern as target_modules."""
    mapping = {
        "base_model_class": "LlamaForCausalLM",
        "parent_library": "transformers.models.llama.modeling_llama",
        "unsloth_fixed": True,
    }
    pattern = (
        r"(?:.*?(?:language|text).*?(?:self_attn|attention|attn|mlp|feed_forward|ffn|dense).*?"
        rf"(?:{'|'.join(LINEARS)}).*?)|(?:\bmodel\.layers\.[\d]{{1,}}\."
        rf"(?:self_attn|attention|attn|mlp|feed_forward|ffn|dense)\.(?:(?:{'|'.join(LINEARS)})))"
    )
    name = "unsloth/llama-3-8b-bnb-4bit"
    families.edit_config(folder, base_model_name_or_path=name, auto_mapping=mapping, target_modules=pattern)
    path = folder / families.CONFIG
    path.write_text(json.dumps({**json.loads(path.read_text()), "task_type": None}))
    write_tokenizer(folder)


def torchtune(folder: Path, base: Path) -> None:
    """torchtune: five keys alone, the tensors as .pt as well, and copies of the base's small files."""
    config = {"r": 4, "lora_alpha": 8, "target_modules": LINEARS, "peft_type": "LORA"}
    config["base_model_name_or_path"] = "meta-llama/Llama-3.2-1B-Instruct"
    (folder / families.CONFIG).write_text(json.dumps(config))
    shutil.copy(base / "config.json", folder)
    write_tokenizer(folder)
    write(folder, "adapter_model.pt", "original_repo_id.json", "recipe_state/recipe_state.pt", "README.md")


WRITERS: dict[str, Callable[[Path, Path], None]] = {
    each.__name__: each for each in (peft, trl, axolotl, llama_factory, unsloth, torchtune)
}


@pytest.fixture(params=list(WRITERS))
def written(request: pytest.FixtureRequest, adapter: Path, llama: Path) -> Path:
    """An adapter as a tool leaves it."""
    WRITERS[request.param](adapter, llama)
    return adapter


def test_what_a_tool_leaves_is_an_adapter_and_sound(written: Path, llama: Path, assert_sound: Sound) -> None:
    assert find_kind(str(written)) == ("adapter", written)
    verdict = assert_sound(written, llama)
    assert not [each for each in verdict.results if each.outcome is Outcome.FAIL]


PREFIXES = {
    "module.": "the prefix `module.` of DistributedDataParallel",
    "_orig_mod.": "the prefix `_orig_mod.` of torch.compile",
    "module._orig_mod.": "`module._orig_mod.` in their names",
    PREFIX: "the prefix `base_model.model.` twice",
}


@pytest.mark.parametrize("prefix", PREFIXES)
def test_prefixed_keys_are_named_whoever_wrote_them(
    prefix: str, written: Path, llama: Path, assert_broken: Broken
) -> None:
    families.rename(written, lambda name: prefix + name)
    assert_broken(written, llama, "ART-213", f"28 of 28 keys carry {PREFIXES[prefix]}")


def test_names_of_torchtune_that_were_not_converted_are_named(adapter: Path, llama: Path) -> None:
    """What torchtune saves as .pt has its own names, without peft's prefix."""
    own = {"self_attn": "attn", "o_proj": "output_proj", "gate_proj": "w1", "down_proj": "w2", "up_proj": "w3"}

    def change(name: str) -> str:
        for peft_name, tune_name in {**own, "lora_A": "lora_a", "lora_B": "lora_b", f"{PREFIX}model.": ""}.items():
            name = name.replace(peft_name, tune_name)
        return name

    families.rename(adapter, change)
    verdict = grade_adapter(adapter, "a", base=str(llama), prompt=None)
    assert verdict.status is Status.BROKEN
    assert verdict.stages == ("artifact",)
    assert "carry the names of torchtune" in verdict.cause


def test_a_merged_model_that_torchtune_leaves_beside_its_adapter_is_named(
    adapter: Path, llama: Path, assert_broken: Broken
) -> None:
    torchtune(adapter, llama)
    config = (adapter / "config.json").read_bytes()
    model: Any = PeftModel.from_pretrained(families.load_base(llama), str(adapter))
    model.merge_and_unload().save_pretrained(adapter / "scratch")
    shutil.move(adapter / "scratch" / "model.safetensors", adapter / "model-00001-of-00001.safetensors")
    shutil.rmtree(adapter / "scratch")
    (adapter / "config.json").write_bytes(config)
    assert_broken(adapter, llama, "ART-207", "holds the base with this adapter merged into it")


def test_the_pickles_of_these_fixtures_would_be_noticed(tmp_path: Path) -> None:
    write(tmp_path, "training_args.bin")
    with pytest.raises(SystemExit, match="a pickle was opened"):
        pickle.loads((tmp_path / "training_args.bin").read_bytes())  # noqa: S301  # its own
