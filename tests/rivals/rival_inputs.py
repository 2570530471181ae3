"""Inputs with a known fault, made from the toy: adapters, merged models, chat templates, data sets, training scripts.

`EDITS` has a function for each case of `manifest.toml`; it spoils a sound input in place. `write_case` makes one.
"""

from __future__ import annotations

import itertools
import json
import shutil
import sys
import tomllib
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file

sys.path += [str(Path(__file__).parents[1] / name) for name in ("helpers", "submissions")]
import families
from build import SUBMISSIONS, Edit, build

import sft_ref
from sft_ref.reference.bases.find import TOY
from sft_ref.reference.record import RECORD

HERE = Path(__file__).parent
KINDS = ("merged", "adapter", "template", "tools", "data", "code")
FOREIGN_PREFIX = "base_model.model."
LOOP = next(each for each in SUBMISSIONS if each.style == "loop" and each.package == "homework")
"""A submission in the style of a plain loop; other edits take the place of its own."""
MESSAGES = [{"role": "user", "content": "How many g are 6 kg?"}, {"role": "assistant", "content": "6000"}]


@dataclass(frozen=True)
class Case:
    """A line of the manifest.

    Attributes:
        id: names the case, and its folder.
        kind: of input, one of `KINDS`.
        stage: at fault; empty of a control.
        fault: a sentence; of a control what is unusual.
        source: where the fault is reported.
        cause: a pattern of the words of a tool that knows the cause; empty of a control.
        options: further words of ``sft-ref grade``.
        edits: of a training script, as those of a submission.
    """

    id: str
    kind: str
    stage: str
    fault: str
    source: str
    cause: str = ""
    options: tuple[str, ...] = ()
    edits: tuple[Edit, ...] = field(default=())

    @property
    def sound(self) -> bool:
        """Whether it is a control."""
        return not self.stage


def read_manifest(path: Path = HERE / "manifest.toml") -> tuple[Case, ...]:
    """All cases, the controls of a kind first."""
    with path.open("rb") as file:
        tables = tomllib.load(file)["case"]
    cases = [
        Case(
            **{key: value for key, value in table.items() if key not in ("edit", "options")},
            options=tuple(table.get("options", ())),
            edits=read_edits(table),
        )
        for table in tables
    ]
    return tuple(sorted(cases, key=lambda case: (KINDS.index(case.kind), not case.sound)))


def read_edits(table: dict[str, Any]) -> tuple[Edit, ...]:
    """Texts of a training script that are replaced."""
    return tuple(Edit(edit.get("file", "sft.py"), edit["old"], edit["new"]) for edit in table.get("edit", ()))


def write_case(case: Case, folder: Path, workshop: Path) -> Path:
    """Makes the input of a case.

    Args:
        case: of the manifest.
        folder: to be made; it holds what its kind has (see the head of the manifest).
        workshop: a folder that keeps the sound inputs, so that each is made once.
    """
    sound = workshop / case.kind
    if not sound.exists():
        SOUND[case.kind](sound, workshop)
    if case.kind == "code":
        return write_script(case, Path(shutil.copytree(sound, folder)))
    shutil.copytree(sound, folder)
    if case.id in EDITS:
        EDITS[case.id](folder)
    return folder


def make_adapter(folder: Path, workshop: Path) -> None:
    """A base, rows with questions, and an adapter with config.json and tokenizer beside it, as axolotl leaves them."""
    base = Path(shutil.copytree(TOY, folder / "base"))
    settings = sft_ref.Settings(steps=60, learning_rate=2e-3, rank=8)
    sft_ref.train(str(folder / "adapter"), base=str(base), settings=settings)
    for path in (folder / "adapter").iterdir():
        if path.name.startswith(Path(RECORD).stem):
            path.unlink()  # only our own training leaves a record
    for path in base.glob("*.json"):
        if path.name != "generation_config.json":
            shutil.copy(path, folder / "adapter")
    rows = itertools.islice(sft_ref.generate_rows(seed=5), 32)
    (folder / "rows.jsonl").write_text("\n".join(json.dumps(list(row)) for row in rows), encoding="utf-8")


def make_merged(folder: Path, workshop: Path) -> None:
    """As `make_adapter` over the base in fp32, and the merged model."""
    if not (workshop / "adapter").exists():
        make_adapter(workshop / "adapter", workshop)
    shutil.copytree(workshop / "adapter", folder)
    families.load_base(folder / "base").save_pretrained(folder / "base")
    merge(folder)


def merge(folder: Path, base: str = "base") -> None:
    """Saves what peft makes of base and adapter."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = families.load_base(folder / base)
        PeftModel.from_pretrained(model, str(folder / "adapter")).merge_and_unload().save_pretrained(folder / "merged")


def make_template(folder: Path, workshop: Path) -> None:
    """A base without weights, a chat template by itself, and conversations."""
    (folder / "base").mkdir(parents=True)
    for path in TOY.glob("*.json"):
        shutil.copy(path, folder / "base")
    thought = [MESSAGES[0], {"role": "assistant", "content": "<think>times</think>6000"}]
    second = [{"role": "user", "content": "And 7?"}, {"role": "assistant", "content": "7000"}]
    rows = [{"messages": MESSAGES}, {"messages": thought + second}]
    (folder / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in rows * 2), encoding="utf-8")
    set_template(folder, CHATML)


def make_tools(folder: Path, workshop: Path) -> None:
    """As `make_template`; the template takes tools, and contents that are null or in parts."""
    make_template(folder, workshop)
    set_template(folder, WITH_TOOLS)


def make_data(folder: Path, workshop: Path) -> None:
    """As `make_template`; what is spoiled is the rows."""
    make_template(folder, workshop)


CHAT = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
HEADER = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
CHATML = CHAT + HEADER
CALLS = (
    "{% for c in m.tool_calls or [] %}<tool_call>"
    '{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments | tojson }}}'
    "</tool_call>{% endfor %}"
)
CONTENT = (
    "{% if m.content is string %}{{ m.content }}"
    "{% else %}{% for p in m.content or [] %}{{ p.text }}{% endfor %}{% endif %}"
)
SCHEMAS = "{% if tools %}<|im_start|>system\n{{ tools | tojson }}<|im_end|>\n{% endif %}"
WITH_TOOLS = SCHEMAS + CHATML.replace("{{ m.content }}", CONTENT + CALLS)


def set_template(folder: Path, template: str) -> None:
    """Writes a chat template by itself and into the base's tokenizer."""
    (folder / "template.jinja").write_text(template, encoding="utf-8")
    path = folder / "base" / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), "chat_template": template}))


def templated(template: str) -> Callable[[Path], None]:
    """Another template."""
    return lambda folder: set_template(folder, template)


def make_code(folder: Path, workshop: Path) -> None:
    """A base and training data; the script is the submission of `write_script`."""
    shutil.copytree(TOY, folder / "base")
    (folder / "data").mkdir()
    questions = sft_ref.generate_rows(seed=1)
    for split, number in (("train", 512), ("valid", 64)):
        table = [list(row) for row in itertools.islice(questions, number)]
        (folder / "data" / f"{split}.json").write_text(json.dumps(table), encoding="utf-8")


def write_script(case: Case, folder: Path) -> Path:
    """A submission in the style of a plain loop, with the fault of the case."""
    common = read_edits(tomllib.loads((HERE / "script.toml").read_text(encoding="utf-8")))
    build(replace(LOOP, edits=(*common, *case.edits)), folder / "submission")
    return folder


SOUND: dict[str, Callable[[Path, Path], None]] = {
    "merged": make_merged,
    "adapter": make_adapter,
    "template": make_template,
    "tools": make_tools,
    "data": make_data,
    "code": make_code,
}
"""Kind of input -> makes a sound one."""


def rewrite(path: Path, change: Callable[[families.Tensors], None]) -> None:
    """Changes the tensors of a file."""
    tensors = load_file(path)
    change(tensors)
    save_file({name: each.clone().contiguous() for name, each in tensors.items()}, path, metadata={"format": "pt"})


def merged_weights(change: Callable[[families.Tensors, families.Tensors], None]) -> Callable[[Path], None]:
    """Changes the merged model, given the tensors of its base."""

    def edit(folder: Path) -> None:
        base = load_file(folder / "base" / "model.safetensors")
        rewrite(folder / "merged" / "model.safetensors", lambda tensors: change(tensors, base))

    return edit


def not_merged(folder: Path) -> None:
    shutil.copy(folder / "base" / "model.safetensors", folder / "merged")


def merged_twice(folder: Path) -> None:
    shutil.copytree(folder / "merged", folder / "once")
    merge(folder, "once")
    shutil.rmtree(folder / "once")


def one_layer_not_merged(tensors: families.Tensors, base: families.Tensors) -> None:
    name = "model.layers.1.self_attn.q_proj.weight"
    tensors[name] = base[name]


def half_strength(tensors: families.Tensors, base: families.Tensors) -> None:
    for name in tensors.keys() & base.keys():
        tensors[name] = base[name].float() + (tensors[name].float() - base[name].float()) / 2


def norm_of_another_base(tensors: families.Tensors, _base: families.Tensors) -> None:
    tensors["model.norm.weight"] = tensors["model.norm.weight"] * 1.1


def weight_is_nan(tensors: families.Tensors, _base: families.Tensors) -> None:
    tensors["model.layers.0.mlp.down_proj.weight"][0, 0] = float("nan")


def rounded(tensors: families.Tensors, _base: families.Tensors) -> None:
    tensors.update({name: each.bfloat16().float() for name, each in tensors.items()})


def stored_in_bf16(tensors: families.Tensors, _base: families.Tensors) -> None:
    tensors.update({name: each.bfloat16() for name, each in tensors.items()})


def adapter(edit: Callable[[Path], object]) -> Callable[[Path], None]:
    """Spoils the folder of the adapter."""

    def spoil(folder: Path) -> None:
        edit(folder / "adapter")

    return spoil


def renamed(old: str, new: str) -> Callable[[Path], None]:
    return adapter(lambda folder: families.rename(folder, lambda name: name.replace(old, new, 1)))


def filled(part: str, value: float) -> Callable[[Path], None]:
    def fill(tensors: families.Tensors) -> families.Tensors:
        return {name: torch.full_like(each, value) if part in name else each for name, each in tensors.items()}

    return adapter(lambda folder: families.edit_tensors(folder, fill))


def cut_short(folder: Path) -> None:
    path = folder / families.WEIGHTS
    path.write_bytes(path.read_bytes()[:-1000])


def alpha_times(factor: float) -> Callable[[Path], None]:
    def scale(folder: Path) -> None:
        config = json.loads((folder / families.CONFIG).read_text(encoding="utf-8"))
        families.edit_config(folder, lora_alpha=config["lora_alpha"] * factor)

    return adapter(scale)


def as_peft_leaves_it(folder: Path) -> None:
    for path in folder.iterdir():
        if path.name not in (families.CONFIG, families.WEIGHTS):
            path.unlink()


def another_base(folder: Path) -> None:
    def move(tensors: families.Tensors) -> None:
        generator = torch.Generator().manual_seed(3)
        for name, each in tensors.items():
            noise = torch.randn(each.shape, generator=generator) * each.float().std()
            tensors[name] = (each.float() + 0.5 * noise).to(each.dtype) if each.ndim > 1 else each

    rewrite(folder / "base" / "model.safetensors", move)


def rows(change: Callable[[list[dict[str, list[dict[str, str]]]]], object]) -> Callable[[Path], None]:
    """Changes the conversations."""

    def edit(folder: Path) -> None:
        path = folder / "rows.jsonl"
        table = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        change(table)
        path.write_text("\n".join(json.dumps(row) for row in table), encoding="utf-8")

    return edit


def answers_are_empty(table: list[dict[str, list[dict[str, str]]]]) -> None:
    for row in table[:2]:
        row["messages"][-1]["content"] = " "


def answers_are_long(table: list[dict[str, list[dict[str, str]]]]) -> None:
    for row in table:
        row["messages"][-1]["content"] = "6000 " * 40


EDITS: dict[str, Callable[[Path], None]] = {
    "merge-not-applied": not_merged,
    "merge-applied-twice": merged_twice,
    "merge-lacks-a-layer": merged_weights(one_layer_not_merged),
    "merge-at-half-strength": merged_weights(half_strength),
    "merge-over-another-norm": merged_weights(norm_of_another_base),
    "merge-holds-nan": merged_weights(weight_is_nan),
    "merge-rounded-to-bf16": merged_weights(rounded),
    "merge-stored-in-bf16": merged_weights(stored_in_bf16),
    "adapter-as-peft-leaves-it": adapter(as_peft_leaves_it),
    "adapter-prefix-of-compile": renamed(FOREIGN_PREFIX, f"{FOREIGN_PREFIX}_orig_mod."),
    "adapter-prefix-twice": renamed(FOREIGN_PREFIX, FOREIGN_PREFIX * 2),
    "adapter-without-prefix": renamed(FOREIGN_PREFIX, ""),
    "adapter-blank": filled("lora_B", 0.0),
    "adapter-holds-nan": filled("layers.0.mlp.up_proj.lora_A", float("nan")),
    "adapter-lacks-a-layer": adapter(lambda folder: families.drop(folder, ".layers.1.")),
    "adapter-lacks-b": adapter(lambda folder: families.drop(folder, "lora_B")),
    "adapter-of-another-rank": adapter(lambda folder: families.edit_config(folder, r=16)),
    "adapter-cut-short": adapter(cut_short),
    "adapter-without-tensors": adapter(lambda folder: (folder / families.WEIGHTS).unlink()),
    "adapter-names-other-modules": adapter(lambda folder: families.edit_config(folder, target_modules=["query"])),
    "adapter-alpha-times-eight": alpha_times(8),
    "adapter-alpha-of-zero": alpha_times(0),
    "adapter-over-another-base": another_base,
    "template-writes-no-end": templated(CHATML.replace("<|im_end|>", "")),
    "template-prompt-leaves-the-text": templated(CHAT + HEADER.replace("assistant\n", "assistant\n<think>\n")),
    "template-rewrites-history": templated(
        CHATML.replace("{{ m.content }}", "{{ m.content if loop.last else m.content.split('>')[-1] }}")
    ),
    "template-prints-python": templated(CHATML.replace("{{ m.content }}", "{{ [m.content] }}")),
    "template-begins-twice": templated("{{ bos_token }}{{ bos_token }}" + CHATML),
    "template-drops-the-system": templated(
        CHATML.replace("<|im_start|>", "{% if m.role != 'system' %}<|im_start|>", 1).replace(
            "<|im_end|>\n", "<|im_end|>\n{% endif %}", 1
        )
    ),
    "template-does-not-parse": templated(CHATML.replace("{% endfor %}", "")),
    "template-tells-the-date": templated("{{ strftime_now('%d %B %Y %H:%M') }}\n" + CHATML),
    "template-as-the-toy-has-it": lambda folder: set_template(
        folder, json.loads((TOY / "tokenizer_config.json").read_text(encoding="utf-8"))["chat_template"]
    ),
    "tools-schema-is-lost": templated(WITH_TOOLS.replace("{{ tools | tojson }}", "You may call tools.")),
    "tools-schema-as-python": templated(WITH_TOOLS.replace("tools | tojson", "tools")),
    "tools-call-is-lost": templated(WITH_TOOLS.replace(CALLS, "{% if m.tool_calls %}(calls){% endif %}")),
    "tools-arguments-as-python": templated(WITH_TOOLS.replace("arguments | tojson", "arguments")),
    "tools-null-as-none": templated(
        WITH_TOOLS.replace(CONTENT, "{% if m.content is none %}{{ m.content }}{% else %}" + CONTENT + "{% endif %}")
    ),
    "tools-parts-as-python": templated(
        WITH_TOOLS.replace(CONTENT, "{% if m.role == 'system' %}{{ m.content }}{% else %}" + CONTENT + "{% endif %}")
    ),
    "data-answers-are-empty": rows(answers_are_empty),
    "data-answers-are-cut": rows(answers_are_long),
}
"""Id of a case -> what spoils the sound input of its kind. A case without one is the sound input."""
