"""Records a submission: its processes and the swap experiments, in a fixed order, into frozen evidence."""

from __future__ import annotations

from collections.abc import Mapping

from sft_ref.harness.evidence import Evidence
from sft_ref.harness.isolation import sandbox

from . import parts
from .recording import Recording
from .swaps import run_swaps


def record(recording: Recording, user_paths: Mapping[str, str]) -> Evidence:
    """Everything that the checks and the verdict need to know of a submission.

    1. It trains, in a process of its own, and what it left and saved is copied out of its reach.
    2. It loads what it saved and answers, in a second process.
    3. Where its adapter is not saved as it was trained, or answers nothing, a sound adapter takes its place, and it
       loads and answers once more, in a third process.
    4. The reference evaluates the adapters, and runs the swap experiments that the answers call for.

    Args:
        recording: of the submission; nothing of it was run but its training.
        user_paths: scratch path -> what the user knows it by.

    Raises:
        MachineError: the machine kept it from its end.
        MissingModuleError: it needs a module that is not installed.
    """
    recording.training  # noqa: B018  # 1
    recording.snapshot  # noqa: B018
    recording.asked  # noqa: B018  # 2
    recording.with_adapter  # noqa: B018  # 3
    prompts, examples = parts.build_prompts(recording), parts.build_examples(recording)
    generations = parts.build_generations(recording)
    why_not = sandbox.why_not()
    notes = (*recording.training.notes, *recording.asked.notes, *recording.left_out)
    return Evidence(
        prompts=prompts,
        examples=examples,
        training=parts.build_training(recording),
        artifact=parts.build_artifact(recording),
        loaded=parts.build_loaded(recording),
        generations=generations,
        parsed=parts.build_parsed(recording),
        scores=parts.build_scores(recording),
        experiments=run_swaps(recording, prompts, examples, generations),  # 4
        limits=recording.limits,
        notes=tuple(dict.fromkeys((*notes, *([f"not sandboxed: {why_not}"] if why_not else []), *sandbox.gaps()))),
        is_sandboxed=not why_not,
        user_paths=user_paths,
    )
