"""Times the engine openvino against OpenVINO GenAI with its defaults, in turn, on one exported model."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parent / "peers"))

from contest import Entry, compete
from generation import Margins
from report import show, write_json
from worker import Run

import sft_ref
from sft_ref.engines.loading import load_with_openvino

POLICIES = {"bf16": "bf16-mixed", "fp32": "fp32"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--adapter", required=True, metavar="FOLDER", help="of smollm2-135m, such as `sft-ref train` has"
    )
    parser.add_argument("--questions", type=int, default=200, metavar="N", help="(default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="(default: %(default)s)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), metavar="N", help="(default: all)")
    parser.add_argument("--precisions", nargs="+", choices=[*POLICIES], default=[*POLICIES], help="(default: all)")
    parser.add_argument(
        "--processor-time", action="store_true", help="in place of seconds by the clock, where other work takes turns"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    adapter = Path(args.adapter)
    prompts = [sft_ref.format_prompt(question) for question, _ in sft_ref.split_rows("validation")[: args.questions]]
    margins = Margins(sft_ref.load(adapter, policy="fp32"), prompts)
    entries = []
    for precision in args.precisions:
        for who, prepare in (
            ("sft_ref, --engine openvino", _engine(adapter, precision, prompts)),
            ("OpenVINO GenAI, its defaults", _defaults(adapter, precision, prompts)),
            ("sft_ref, transformers", _transformers(adapter, precision, prompts)),
        ):
            job = f"generation, {len(prompts)} questions"
            timed = _timed(prepare, processor_time=args.processor_time)
            entries.append(Entry(job, precision, who, timed, len(prompts), margins.compare, ours="--engine" in who))
    results = compete(entries, args.rounds)
    show(results)
    if args.json:
        write_json(results, args.json)


def _timed(prepare: Callable[[], Run], *, processor_time: bool) -> Callable[[], Run]:
    def warmed() -> Run:
        run = prepare()
        run()

        def timed() -> tuple[float | None, object]:
            began = time.process_time()
            _, output = run()
            return time.process_time() - began if processor_time else None, output

        return timed

    return warmed


def _engine(adapter: Path, precision: str, prompts: Sequence[str]) -> Callable[[], Run]:
    def prepare() -> Run:
        llm = load_with_openvino(adapter, policy=POLICIES[precision])
        return lambda: (None, llm.batched_generate(prompts))

    return prepare


def _transformers(adapter: Path, precision: str, prompts: Sequence[str]) -> Callable[[], Run]:
    def prepare() -> Run:
        llm = sft_ref.load(adapter, policy=POLICIES[precision])
        return lambda: (None, llm.batched_generate(prompts))

    return prepare


def _defaults(adapter: Path, precision: str, prompts: Sequence[str]) -> Callable[[], Run]:
    """Prepares OpenVINO GenAI with its own defaults for scheduler, key-value cache and threads."""

    def prepare() -> Run:
        import openvino
        import openvino_genai

        llm = load_with_openvino(adapter, policy=POLICIES[precision])
        kind: Any = llm.model
        hint = {"INFERENCE_PRECISION_HINT": kind.kind.computes}
        pipeline = openvino_genai.ContinuousBatchingPipeline(kind.folder, openvino_genai.SchedulerConfig(), "CPU", hint)
        settings = openvino_genai.GenerationConfig()
        settings.max_new_tokens, settings.do_sample = llm.max_new_tokens, False
        settings.eos_token_id = llm.tokenizer.eos_token_id

        def run() -> tuple[None, list[str]]:
            ids = llm.tokenizer([*prompts])["input_ids"]
            found = pipeline.generate(
                [openvino.Tensor(torch.tensor([each]).numpy()) for each in ids], [settings] * len(ids)
            )
            return None, llm.tokenizer.batch_decode(
                [each.m_generation_ids[0] for each in found], skip_special_tokens=True
            )

        return run

    return prepare


if __name__ == "__main__":
    main()
