"""Records a submission as frozen evidence: runs its processes and the swap experiments, in a fixed order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sft_ref.errors import SubmissionError
from sft_ref.harness.core.sizes import UNLIMITED, SizeLimits
from sft_ref.harness.evidence import Evidence
from sft_ref.harness.isolation import sandbox
from sft_ref.reference.data import Row

from . import answer_parts, trained_parts
from .recording import Recording
from .swaps import run_swaps
from .workplace import AgentResult, Workplace


def record(
    workplace: Workplace,
    rows: Sequence[Row],
    unseen: Sequence[Row],
    questions: Sequence[Row],
    seed: int,
    *,
    limits: SizeLimits = UNLIMITED,
    user_paths: Mapping[str, str],
) -> Evidence:
    """Records the evidence that the checks and the verdict need of a submission.

    1. The submission trains in a separate process; the results and saved files are copied out of its reach.
    2. It loads the saved adapter and answers, in a second process.
    3. If its adapter was not learned, or is not saved well, a sound adapter replaces it if there is one, and the
       submission loads and answers again, in a third process. An adapter that is not peft's, or is saved in a custom
       form, is never replaced.
    4. The reference evaluates the adapters, and runs the swap experiments that the answers require.

    Args:
        workplace: workplace with the data installed; its folder contains the submission.
        rows: training rows of the submission.
        unseen: rows of its validation data.
        questions: fresh questions with answers, stored nowhere on disk.
        seed: seed for invented questions and numbers.
        limits: size limits; unlimited by default.
        user_paths: scratch path -> the same path as the user knows it.

    Raises:
        SubmissionError: the interpreter lacks packages that every fine-tune needs, or that this one needs.
        MachineError: the machine stopped the run; the submission is not at fault.
        MissingModuleError: the submission needs a module that is not installed.
    """
    recording = Recording(workplace, rows, unseen, questions, seed)
    recording.train()
    _look_at_start(recording.training, workplace.python)
    recording.ask_own()
    recording.ask_with_sound_adapter()
    prompts, examples = answer_parts.build_prompts(recording), trained_parts.build_examples(recording)
    generations = answer_parts.build_generations(recording)
    why_not = sandbox.why_not()
    notes = (*recording.training.notes, *recording.asked.notes, *recording.left_out)
    return Evidence(
        prompts=prompts,
        examples=examples,
        training=trained_parts.build_training(recording),
        artifact=trained_parts.build_artifact(recording),
        loaded=answer_parts.build_loaded(recording),
        generations=generations,
        parsed=answer_parts.build_parsed(recording),
        scores=answer_parts.build_scores(recording),
        experiments=run_swaps(recording, prompts, examples, generations),
        limits=limits,
        notes=tuple(dict.fromkeys((*notes, *([f"not sandboxed: {why_not}"] if why_not else []), *sandbox.gaps()))),
        is_sandboxed=not why_not,
        user_paths=user_paths,
    )


def _look_at_start(training: AgentResult, python: str) -> None:
    """Checks that the agent's process reached the submission.

    Raises:
        SubmissionError: the interpreter lacks packages that every fine-tune needs, or that this one needs.
        RuntimeError: the agent failed, which is the harness's fault.
    """
    crash = training.crash("start")
    if crash and crash.type in ("ImportError", "ModuleNotFoundError"):
        raise SubmissionError(f"{python}: {crash.message}; give --python one with torch, transformers and peft")
    if crash:
        raise RuntimeError(f"the agent broke: {crash.type}: {crash.message}\n{crash.trace}")
