"""Generation: our loaded adapter against the merged model in other tools, greedy, up to a row's end or 32 tokens."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from contest import Entry, Limits
from transformers import AutoModelForCausalLM, GenerationConfig
from worker import Run

import sft_ref
from sft_ref import BaseLLM
from sft_ref.reference.base_llm import MAX_NEW_TOKENS
from sft_ref.reference.bases.find import find_base, fingerprint_base
from sft_ref.reference.data import Row
from sft_ref.reference.fingerprints import digest
from sft_ref.reference.models import load_tokenizer
from sft_ref.reference.precision import find_device, find_policy

ALONE = 16
"""Number of questions asked one by one; more would take minutes at the same time per question."""

OPENVINO = [(*kind, how) for kind in (("fp32", "fp32"), ("bf16", "fp32"), ("int8", "int8")) for how in (False, True)]
"""Compute precision, precision of the exported weights, and whether rows are batched continuously."""

WEIGHT_BYTES = {"fp32": 4, "int8": 1, "int4": 0.5}
"""Bytes per weight in computations, by precision; 2 for all others."""

Texts = list[str]


def entries(base: str, adapter: Path, rows: Sequence[Row], work: Path, threads: int, limit: Limits) -> list[Entry]:
    """Returns ours in three policies, and the peers that run on this device; an item is a question."""
    prompts = [sft_ref.format_prompt(question) for question, _ in rows]
    merged = _merge(base, adapter, work)
    llm = BaseLLM(str(merged), policy=find_policy("fp32"))
    margins = Margins(llm, prompts)
    found: list[Entry] = []

    def add(precision: str, who: str, prepare: Callable[[], Run], *, ours: bool = False, count: int = 0) -> None:
        count = count or len(prompts)
        job = f"generation, {len(prompts)} questions"

        def warmed() -> Run:
            run = prepare()
            run()
            return run

        found.append(
            Entry(job, precision, who, warmed, count, margins.compare, ours, *_limits(margins, precision, count, limit))
        )

    for policy in ("bf16-mixed", "bf16", "fp32"):
        add(policy, "sft_ref", _ours(adapter, policy, prompts), ours=True)
    for precision in ("bf16", "fp32"):
        for who, size, sort in (("batches of 32", 32, False), ("one sorted batch", len(prompts), True)):
            add(precision, f"transformers, {who}", _generate(merged, precision, prompts, size, sort=sort))
        alone = prompts[:ALONE]
        add(precision, "transformers, one by one", _generate(merged, precision, alone, 1, sort=False), count=len(alone))
    cuda = find_device().type == "cuda"
    if cuda:
        add("bf16", "transformers, continuous batching", _continuous(merged, prompts))
    for precision, kind in (("fp32", "float32"), ("bf16", "bfloat16"), ("int8", "int8")):
        add(precision, "CTranslate2", _ctranslate2(merged, work, kind, prompts, threads))
    for peer in () if cuda else _only_on_cpus(adapter, merged, work, prompts, threads):
        add(*peer)
    return found


def _only_on_cpus(
    adapter: Path, merged: Path, work: Path, prompts: Sequence[str], threads: int
) -> Iterator[tuple[str, str, Callable[[], Run]]]:
    """Yields precision, name and preparation of the entries that run on no GPU."""
    for precision, policy in (("bf16", "bf16-mixed"), ("fp32", "fp32")):
        yield precision, "sft_ref, --engine openvino", _engine(adapter, policy, prompts)
    for precision, weights, continuous in OPENVINO:
        who = f"OpenVINO GenAI, {'continuous batching' if continuous else 'one batch'}"
        yield precision, who, _openvino(merged, work, precision, weights, prompts, threads, continuous=continuous)
    for precision in ("fp32", "int4"):
        yield precision, "ONNX Runtime GenAI, one batch", _onnxruntime(merged, work, precision, prompts, threads)
    yield "fp32", "mistral.rs, streams", _mistralrs(merged, work, prompts, threads)


class Margins:
    """Measures if texts differ by more than ties: the logit gap of the tokens where ours and another diverge."""

    def __init__(self, llm: BaseLLM, prompts: Sequence[str]) -> None:
        self.llm, self.prompts = llm, prompts
        self.new_tokens = [len(ids) + 1 for ids in llm.tokenizer(llm.batched_generate(prompts))["input_ids"]]

    def compare(self, ours: Any, theirs: Any) -> str:
        count = min(len(ours), len(theirs))
        apart = [i for i in range(count) if ours[i] != theirs[i]]
        gaps = [self._gap(self.prompts[i], ours[i], theirs[i]) for i in apart]
        found = f"{count - len(apart)} of {count} the same"
        return found + (f"; the others diverge at a gap of {max(gaps):.2f} nat at most" if gaps else "")

    def _gap(self, prompt: str, ours: str, theirs: str) -> float:
        """Returns the logit gap, under the fp32 model, of the two tokens at which the texts diverge."""
        split = [self.llm.tokenizer(text)["input_ids"] + [self.llm.tokenizer.eos_token_id] for text in (ours, theirs)]
        place = next((i for i, pair in enumerate(zip(*split, strict=False)) if pair[0] != pair[1]), None)
        if place is None:
            return math.inf  # one of them continues past the end
        ids = self.llm.tokenizer(prompt)["input_ids"] + split[0][:place]
        with torch.inference_mode():
            logits = self.llm.model(torch.tensor([ids], device=self.llm.device)).logits[0, -1]
        return float((logits[split[0][place]] - logits[split[1][place]]).abs())


def _limits(margins: Margins, precision: str, count: int, limit: Limits) -> tuple[float, float]:
    """Returns seconds of the products, 2 FLOP per weight and token, and of reading the weights per required forward."""
    llm, prompts, new = margins.llm, margins.prompts, margins.new_tokens
    body = sum(p.numel() for name, p in llm.model.named_parameters() if p.ndim == 2 and "embed" not in name)
    head = llm.model.get_output_embeddings().weight.numel()
    given = sum(len(ids) for ids in llm.tokenizer([*prompts])["input_ids"])
    products = 2 * (body * (given + sum(new) - len(prompts)) + head * sum(new)) * count / len(prompts)
    forwards = max(new) if count == len(prompts) else sum(new[:count])  # all rows together, or one by one
    flops = limit.flops["float32" if precision == "fp32" else "bfloat16"]
    reading = forwards * (body + head) * WEIGHT_BYTES.get(precision, 2) / limit.bandwidth
    return float(products / flops), float(reading)


def _merge(base: str, adapter: Path, work: Path) -> Path:
    """Returns the folder of base and adapter, merged in fp32."""
    llm = sft_ref.load(adapter, base=base, policy="fp32")
    weights = (adapter / "adapter_model.safetensors").read_bytes().hex()
    merged = work / f"merged-{digest([fingerprint_base(find_base(base)), weights])[:12]}"
    if not merged.is_dir():
        llm.model.merge_and_unload().save_pretrained(merged)
        llm.tokenizer.save_pretrained(merged)
    return merged


def _ours(adapter: Path, policy: str, prompts: Sequence[str]) -> Callable[[], Run]:
    def prepare() -> Run:
        llm = sft_ref.load(adapter, policy=policy)
        return lambda: (None, llm.batched_generate(prompts))

    return prepare


def _engine(adapter: Path, policy: str, prompts: Sequence[str]) -> Callable[[], Run]:
    def prepare() -> Run:
        from sft_ref.engines.loading import load_with_openvino

        llm = load_with_openvino(adapter, policy=policy)
        return lambda: (None, llm.batched_generate(prompts))

    return prepare


def _generate(merged: Path, precision: str, prompts: Sequence[str], size: int, *, sort: bool) -> Callable[[], Run]:
    def prepare() -> Run:
        dtype = torch.float32 if precision == "fp32" else torch.bfloat16
        model: Any = AutoModelForCausalLM.from_pretrained(merged, dtype=dtype)
        model.to(find_device()).eval()
        tokenizer = load_tokenizer(merged)
        settings = _greedy(tokenizer)

        def run() -> tuple[None, Texts]:
            order = sorted(range(len(prompts)), key=lambda i: len(prompts[i])) if sort else [*range(len(prompts))]
            texts = [""] * len(prompts)
            for start in range(0, len(order), size):
                chunk = order[start : start + size]
                batch = tokenizer([prompts[i] for i in chunk], padding=True, padding_side="left", return_tensors="pt")
                batch = batch.to(model.device)
                ids = model.generate(**batch, generation_config=settings)[:, batch["input_ids"].shape[1] :]
                for i, text in zip(chunk, tokenizer.batch_decode(ids, skip_special_tokens=True), strict=True):
                    texts[i] = text
            return None, texts

        return run

    return prepare


def _greedy(tokenizer: Any) -> GenerationConfig:
    return GenerationConfig(
        max_new_tokens=MAX_NEW_TOKENS,
        do_sample=False,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def _continuous(merged: Path, prompts: Sequence[str]) -> Callable[[], Run]:
    def prepare() -> Run:
        model: Any = AutoModelForCausalLM.from_pretrained(merged, dtype=torch.bfloat16)
        model.to(find_device()).eval()
        tokenizer = load_tokenizer(merged)
        ids = tokenizer(list(prompts))["input_ids"]

        def run() -> tuple[None, Texts]:
            outputs = model.generate_batch(inputs=ids, generation_config=_greedy(tokenizer))
            ordered = sorted(outputs.items(), key=lambda item: int(item[0].rpartition("_")[2]))
            new = [output.generated_tokens for _, output in ordered]
            return None, tokenizer.batch_decode(new, skip_special_tokens=True)

        return run

    return prepare


def _ctranslate2(merged: Path, work: Path, kind: str, prompts: Sequence[str], threads: int) -> Callable[[], Run]:
    def prepare() -> Run:
        import ctranslate2

        folder = work / f"ctranslate2-{kind}-{merged.name}"
        convert = ctranslate2.converters.TransformersConverter(str(merged)).convert
        _make_once(folder, lambda scratch: convert(str(scratch), quantization=kind))
        device = find_device().type
        model = ctranslate2.Generator(str(folder), device=device, compute_type=kind, intra_threads=threads)
        tokenizer = load_tokenizer(merged)
        pieces: Any = [tokenizer.convert_ids_to_tokens(ids) for ids in tokenizer(list(prompts))["input_ids"]]

        def run() -> tuple[None, Texts]:
            results = model.generate_batch(
                pieces,
                max_length=MAX_NEW_TOKENS,
                sampling_topk=1,
                end_token=tokenizer.eos_token,
                include_prompt_in_result=False,
            )
            return None, tokenizer.batch_decode([r.sequences_ids[0] for r in results], skip_special_tokens=True)

        return run

    return prepare


def _openvino(
    merged: Path, work: Path, precision: str, weights: str, prompts: Sequence[str], threads: int, *, continuous: bool
) -> Callable[[], Run]:
    def prepare() -> Run:
        import openvino_genai

        folder = work / f"openvino-{weights}-{merged.name}"
        export: list[str] = [os.environ.get("OPTIMUM_CLI", "optimum-cli"), "export", "openvino", "--model", str(merged)]
        export += ["--task", "text-generation-with-past", "--weight-format", weights]
        _make_once(folder, lambda scratch: subprocess.run([*export, str(scratch)], check=True, capture_output=True))
        settings: dict[str, Any] = {
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": "f32" if precision == "fp32" else "bf16",
        }
        if continuous:
            settings["scheduler_config"] = openvino_genai.SchedulerConfig()
        else:
            settings["ATTENTION_BACKEND"] = "SDPA"
        pipeline = openvino_genai.LLMPipeline(str(folder), "CPU", **settings)
        how = openvino_genai.GenerationConfig()
        how.max_new_tokens, how.do_sample, how.apply_chat_template = MAX_NEW_TOKENS, False, False
        how.eos_token_id = load_tokenizer(merged).eos_token_id
        return lambda: (None, list(pipeline.generate(list(prompts), how).texts))

    return prepare


def _onnxruntime(merged: Path, work: Path, precision: str, prompts: Sequence[str], threads: int) -> Callable[[], Run]:
    def prepare() -> Run:
        import numpy as np
        import onnxruntime_genai

        folder = work / f"onnxruntime-{precision}-{merged.name}"
        export = [sys.executable, "-m", "onnxruntime_genai.models.builder", "-i", str(merged), "-p", precision]
        export += ["-e", "cpu", "-o"]
        _make_once(folder, lambda scratch: subprocess.run([*export, str(scratch)], check=True, capture_output=True))
        config = onnxruntime_genai.Config(str(folder))
        options = {"model": {"decoder": {"session_options": {"intra_op_num_threads": threads}}}}
        config.overlay(json.dumps(options))
        model = onnxruntime_genai.Model(config)
        tokenizer = load_tokenizer(merged)
        end = tokenizer.eos_token_id
        rows: list[list[int]] = tokenizer(list(prompts))["input_ids"]
        width = max(map(len, rows))
        padded = np.array([row + [end] * (width - len(row)) for row in rows], dtype=np.int32)  # it wants pads behind

        def run() -> tuple[None, Texts]:
            how = onnxruntime_genai.GeneratorParams(model)
            how.set_search_options(do_sample=False, batch_size=len(rows), max_length=width + MAX_NEW_TOKENS)
            generator = onnxruntime_genai.Generator(model, how)
            generator.append_tokens(padded)
            while not generator.is_done():
                generator.generate_next_token()
            new = [generator.get_sequence(i)[width:] for i in range(len(rows))]
            return None, tokenizer.batch_decode(new, skip_special_tokens=True)

        return run

    return prepare


def _mistralrs(merged: Path, work: Path, prompts: Sequence[str], threads: int) -> Callable[[], Run]:
    def prepare() -> Run:
        os.environ |= {"MISTRALRS_CPU_KV_F32": "1", "RAYON_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}
        import mistralrs

        folder = work / f"mistralrs-{merged.name}"
        _make_once(folder, lambda scratch: _copy_for_mistralrs(merged, scratch))
        which = mistralrs.Which.Plain(str(folder), mistralrs.Architecture.Llama, dtype=mistralrs.ModelDType.F32)
        raw = str(folder / "raw.jinja")
        model = mistralrs.Runner(
            which, max_seqs=len(prompts), prefix_cache_n=0, token_source="none", jinja_explicit=raw
        )

        def ask(prompt: str) -> Any:
            said = [{"role": "user", "content": prompt}]
            how: dict[str, Any] = {"max_tokens": MAX_NEW_TOKENS, "temperature": 0.0, "top_k": 1, "stream": True}
            return model.send_chat_completion_request(mistralrs.ChatCompletionRequest(said, "default", **how))

        def run() -> tuple[None, Texts]:
            streams = [ask(prompt) for prompt in prompts]  # a batch; a request without a stream blocks the next one
            return None, ["".join(part.choices[0].delta.content or "" for part in stream) for stream in streams]

        return run

    return prepare


def _copy_for_mistralrs(merged: Path, folder: Path) -> None:
    """Copies a model; adds what mistral.rs needs: rope_theta where transformers 4 wrote it, and a template."""
    shutil.copytree(merged, folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["rope_theta"] = config["rope_parameters"]["rope_theta"]
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "raw.jinja").write_text("{{ messages[0]['content'] }}", encoding="utf-8")


def _make_once(folder: Path, make: Callable[[Path], object]) -> None:
    """Makes a folder under a temporary name and renames it, so that an existing folder is complete."""
    if not folder.is_dir():
        scratch = Path(f"{folder}.making")
        shutil.rmtree(scratch, ignore_errors=True)
        make(scratch)
        scratch.replace(folder)
