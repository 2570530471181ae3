"""The tools that are compared: what each takes, how its documentation runs it, and how its answer is read."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from junitparser import JUnitXml
from rival_inputs import Case, read_manifest, write_script

PROMPT = "{question} <answer>{answer}</answer>"
LIMIT = 600
"""Seconds after which a tool is stopped."""


@dataclass(frozen=True)
class Answer:
    """What a tool says of an input.

    Attributes:
        alarm: whether it fails the input, in its own documented way.
        findings: what it objects to, a text each.
        error: why there is no answer: it broke, or was stopped.
        stages: that it puts at fault; empty of tools that know none.
    """

    alarm: bool
    findings: tuple[str, ...]
    error: str = ""
    stages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ran:
    """A process that has ended."""

    code: int
    output: str
    errors: str


@dataclass(frozen=True)
class Tool:
    """A tool of the comparison.

    Attributes:
        name: on PyPI.
        version: that is installed; empty for ours.
        extras: of the package, as its documentation says.
        also: packages that the inputs need.
        claim: what it says of itself.
        cannot: what it cannot take.
        ways: kind of input → runs it in an environment, on a folder, in an empty folder of its own.
    """

    name: str
    version: str
    extras: str
    also: tuple[str, ...]
    claim: str
    cannot: str
    ways: dict[str, Callable[[Path, Case, Path, Path], Answer]] = field(default_factory=dict)

    @property
    def requirement(self) -> str:
        """What pip installs."""
        return f"{self.name}{self.extras}=={self.version}"


def start(words: Sequence[object], folder: Path, **env: str) -> Ran:
    """Runs a process to its end."""
    kept = {name: os.environ[name] for name in ("PATH", "OMP_NUM_THREADS", "OMP_WAIT_POLICY") if name in os.environ}
    surroundings = {**kept, "HOME": str(folder), "HF_HUB_OFFLINE": "1", "COLUMNS": "200", **env}
    done = subprocess.run(
        [str(word) for word in words],
        cwd=folder,
        env=surroundings,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def broke(ran: Ran) -> Answer:
    """No answer, with the last line that was printed."""
    lines = (ran.errors.strip() or ran.output.strip()).splitlines() or [f"exit code {ran.code}"]
    return Answer(alarm=False, findings=(), error=f"it broke: {lines[-1].strip()[:200]}")


def grade(words: Callable[[Path], Sequence[object]]) -> Callable[[Path, Case, Path, Path], Answer]:
    """`sft-ref grade`; drift is an alarm as well."""

    def run(python: Path, case: Case, folder: Path, scratch: Path) -> Answer:
        file = scratch / "results.json"
        given = ["grade", *words(folder), *case.options, "--json", file]
        ran = start([python, "-m", "sft_ref", *given], scratch, PYTHONPATH=os.environ.get("PYTHONPATH", ""))
        if not file.exists():
            # bad input, in one line: the target is refused, and the line says why
            refused = ran.code == 2
            return Answer(alarm=True, findings=(ran.errors.strip(),)) if refused else broke(ran)
        (result,) = json.loads(file.read_text(encoding="utf-8"))
        verdict = result["verdict"]
        if verdict is None:
            return Answer(alarm=True, findings=(result["error"],))
        findings = tuple(f"{each['cause']} {' '.join(each['evidence'])}" for each in result["suspects"])
        return Answer(verdict in ("broken", "drift"), findings, stages=tuple(result["stages"]))

    return run


def deltalint(python: Path, case: Case, folder: Path, scratch: Path) -> Answer:
    """`deltalint check --json`: 1 a layer failed, 2 unreadable, 3 inconclusive, which is not to pass either."""
    parts = [word for part in ("base", "adapter", "merged") for word in (f"--{part}", folder / part)]
    ran = start([python.parent / "deltalint", "check", *parts, "--json"], scratch)
    if ran.code == 2:
        return Answer(alarm=True, findings=(ran.errors.strip(),))
    try:
        report = json.loads(ran.output)
    except ValueError:
        return broke(ran)
    bad = [each for each in report["layers"] if each["verdict"] != "PASS"]
    findings = [" ".join(str(each[key]) for key in ("name", "verdict", "diagnosis", "detail")) for each in bad]
    return Answer(ran.code != 0, (*findings, *map(str, report.get("missing_layers", ()))))


def adapterbridge(python: Path, case: Case, folder: Path, scratch: Path) -> Answer:
    """`adapterbridge check --canary --chat-test` and `adapterbridge verify`, for the target of its README.

    Its exit code knows neither the canary nor the chat test; a failure of either is taken for an alarm, too.
    """
    checkpoint, target = folder / "adapter", "vllm@0.6.4"
    if case.kind != "adapter":
        checkpoint = scratch / "checkpoint"
        shutil.copytree(folder / "base", checkpoint)
    file, program = scratch / "report.json", python.parent / "adapterbridge"
    given = ["--path", checkpoint, "--target", target]
    ran = start([program, "check", *given, "--canary", "--chat-test", "--format", "json", "--output", file], scratch)
    if not file.exists():
        plain = "Error:" in ran.output
        return Answer(alarm=True, findings=(ran.output.strip(),)) if plain else broke(ran)
    report = json.loads(file.read_text(encoding="utf-8"))
    canary, chat = report["canary_probe"], report["chat_test"]
    if case.kind != "adapter":  # there is none to object to
        return Answer(not chat["success"], tuple(chat["issues"]))
    findings = [f"{each['code']} {each['message']}" for each in report["issues"]]
    findings += [] if canary["passed"] else [canary["message"]]
    findings += [] if chat["success"] else chat["issues"]
    alarm = ran.code != 0 or not canary["passed"] or not chat["success"]
    verified = start([program, "verify", *given], scratch)
    if verified.code:
        findings.append(" ".join(verified.output.split()))
    places = ((str(checkpoint), "CHECKPOINT"), (str(folder), "FOLDER"))
    for place, name in places:
        findings = [each.replace(place, name) for each in findings]
    return Answer(alarm or verified.code != 0, tuple(findings))


def chatlint(python: Path, case: Case, folder: Path, scratch: Path) -> Answer:
    """`chatlint check --strict`, so that warnings count; each finding is named by its property and conversation."""
    file = folder / "template.jinja"
    ran = start([python.parent / "chatlint", "check", "--strict", "--show", "1000", file], scratch)
    if "Traceback" in ran.errors:
        return broke(ran)
    return Answer(ran.code != 0, tuple(re.findall(r"\[(?:error|warning)\] (.*)", ran.output)))


GUARD = """    import guardtower, json
    batch = next(iter(loader))
    report = guardtower.audit(model, lambda: compute_loss(model, batch, llm.device), optimizer=optimizer)
    print("GUARDTOWER", json.dumps(report.to_dict(), default=str))
    raise SystemExit(0 if report.ok else 1)
    for epoch in range(epochs):
"""


def guardtower(python: Path, case: Case, folder: Path, scratch: Path) -> Answer:
    """`guardtower.audit`, called as its README says: before the loop, with a closure that returns the loss.

    A FAIL or a warning is taken for an alarm.
    """
    work = scratch / "submission"
    shutil.copytree(folder / "submission", work)
    shutil.copytree(folder / "data", work / "data")
    script = work / "homework" / "sft.py"
    text = script.read_text(encoding="utf-8")
    loop = "    for epoch in range(epochs):\n"
    if text.count(loop) != 1:
        raise ValueError(f"{case.id}: no place for a pre-flight check")
    script.write_text(text.replace(loop, GUARD), encoding="utf-8")
    words = [python, "-m", "homework.sft", "train", "--output_dir", scratch / "adapter"]
    ran = start(words, work, BASE=str(folder / "base"))
    line = next((each for each in ran.output.splitlines() if each.startswith("GUARDTOWER ")), None)
    if line is None:
        return broke(ran)
    found = json.loads(line.partition(" ")[2])["findings"]
    bad = [each for each in found if each["severity"].upper() not in ("INFO", "OK")]
    return Answer(bool(bad), tuple(f"{each['check']} {each['message']}" for each in bad))


def traincheck(python: Path, case: Case, folder: Path, scratch: Path) -> Answer:
    """`traincheck-collect --invariants` and `traincheck-check`; each violated invariant is a finding.

    The invariants are those of six steps of the sound script, inferred once and kept in the environment: from all 48
    steps, nine minutes did not suffice.
    """
    invariants = python.parent.parent / "invariants.json"
    if not invariants.exists():
        sound = next(each for each in read_manifest() if each.kind == "code" and each.sound)
        healthy = write_script(sound, scratch / "healthy")
        shutil.copytree(folder / "data", healthy / "data")
        rows = healthy / "data" / "train.json"
        rows.write_text(json.dumps(json.loads(rows.read_text(encoding="utf-8"))[: 6 * 32]), encoding="utf-8")
        ran = trace(python, healthy, folder / "base", scratch / "reference", once=True)
        inferred = start(
            [python.parent / "traincheck-infer", "-f", scratch / "reference/trace", "-o", invariants], scratch
        )
        if not invariants.exists():
            return broke(ran if ran.code else inferred)
    ran = trace(python, folder, folder / "base", scratch / "target", "--invariants", invariants)
    if ran.code:
        return broke(ran)
    given = ["-f", scratch / "target/trace", "-i", invariants, "-o", scratch / "results", "--no-html-report"]
    checked = start([python.parent / "traincheck-check", *given], scratch)
    if checked.code:
        return broke(checked)
    violated = violations(
        "".join(path.read_text(encoding="utf-8") for path in (scratch / "results").rglob("failed.log"))
    )
    return Answer(bool(violated), tuple(violated))


def trace(python: Path, folder: Path, base: Path, work: Path, *options: object, once: bool = False) -> Ran:
    """Runs the training script of a case under `traincheck-collect`, which takes a file and no module."""
    shutil.copytree(folder / "submission" / "homework", work / "script")
    shutil.copytree(folder / "data", work / "data")
    for path in (work / "script").glob("*.py"):
        text = re.sub(r"^from \.(\w+) import", r"from \1 import", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        path.write_text(text.replace("epochs=3", "epochs=1") if once else text, encoding="utf-8")
    command = f"#!/bin/bash\npython sft.py train --output_dir {work / 'adapter'}\n"
    (work / "script" / "run.sh").write_text(command, encoding="utf-8")
    given = ["--pyscript", "sft.py", "--shscript", "run.sh", "--copy-all-files", "--models-to-track", "model"]
    words = [python.parent / "traincheck-collect", *given, "--output-dir", work / "trace", *options]
    return start(words, work / "script", BASE=str(base), PATH=f"{python.parent}{os.pathsep}{os.environ['PATH']}")


def violations(log: str) -> list[str]:
    """The invariants that a log of `traincheck-check` calls violated, in words, each once."""
    decoder, found, at = json.JSONDecoder(), [], 0
    while (at := log.find("{", at)) >= 0:
        entry, at = decoder.raw_decode(log, at)
        found.append(entry["invariant"]["text_description"])
    return list(dict.fromkeys(found))


def sway(python: Path, case: Case, folder: Path, scratch: Path) -> Answer:
    """`sway gate` on the suite of its README, with questions of the rows as prompts, without the probe of sections."""
    lines = (folder / "rows.jsonl").read_text(encoding="utf-8").splitlines()[:8]
    prompts = [f"{json.loads(line)[0]} <answer>" for line in lines]
    base = {"kind": "hf", "base": str(folder / "base")}
    suite = {
        "version": 1,
        "models": {"base": base, "ft": {**base, "adapter": str(folder / "adapter")}},
        "suite": [
            {"name": "null_baseline", "kind": "null_adapter", "runs": 3},
            {"name": "divergence", "kind": "delta_kl", "prompts": prompts},
            {"name": "ablation_shape", "kind": "adapter_ablation", "prompts": prompts},
        ],
    }
    (scratch / "sway.yaml").write_text(json.dumps(suite), encoding="utf-8")  # which is YAML as well
    file = scratch / "report.xml"
    ran = start([python.parent / "sway", "gate", "sway.yaml", "--junit", file], scratch)
    if not file.exists():
        plain = ran.errors.startswith("error:")
        return Answer(alarm=True, findings=(ran.errors.strip(),)) if plain else broke(ran)
    probes = JUnitXml.fromfile(str(file))
    bad = [(probe, found) for suite in probes for probe in suite for found in probe.result if not probe.is_skipped]
    return Answer(ran.code != 0, tuple(f"{probe.name}: {found.message}" for probe, found in bad))


OURS = Tool(
    name="sft_ref",
    version="",
    extras="",
    also=(),
    claim="whether what was trained is what is loaded, and which stage loses answers",
    cannot="a chat template without rows and a tokenizer; a running training, which only the witness observes",
    ways={
        "merged": grade(
            lambda folder: [folder / "merged", "--adapter", folder / "adapter", "--base", folder / "base"],
        ),
        "adapter": grade(
            lambda folder: [
                *(folder / "adapter", "--base", folder / "base"),
                *("--data", folder / "rows.jsonl", "--prompt", PROMPT),
            ]
        ),
        "template": grade(lambda folder: [folder / "rows.jsonl", "--base", folder / "base"]),
        "tools": grade(lambda folder: [folder / "rows.jsonl", "--base", folder / "base"]),
        "data": grade(lambda folder: [folder / "rows.jsonl", "--base", folder / "base"]),
        "code": grade(lambda folder: [folder / "submission", "--base", folder / "base", "--seed", "0"]),
    },
)

RIVALS = (
    Tool(
        name="deltalint",
        version="0.1.0",
        extras="",
        also=(),
        claim="verifies that a merged LoRA checkpoint contains the adapter",
        cannot="anything but a merged model with base and adapter, in safetensors; DoRA; quantised weights",
        ways={"merged": deltalint},
    ),
    Tool(
        name="adapterbridge",
        version="0.2.0",
        extras="[verify]",
        also=("numpy",),  # which it imports and does not ask for
        claim="finds what keeps a serving engine from loading an adapter, before it is deployed",
        cannot="a base's weights, so it cannot tell what the adapter does; merged models, data, code",
        ways={"adapter": adapterbridge, "template": adapterbridge, "tools": adapterbridge},
    ),
    Tool(
        name="chatlint",
        version="0.1.2",
        extras="",
        also=(),
        claim="tells whether a chat template renders any conversation of the OpenAI schema as it should",
        cannot="anything but a chat template: no tokenizer, no rows, no labels",
        ways={"template": chatlint, "tools": chatlint},
    ),
    Tool(
        name="guardtower",
        version="0.1.0",
        extras="[hf]",
        also=("peft", "accelerate", "tqdm"),
        claim="catches silent bugs of a fine-tune in one step, before the run",
        cannot="anything but a model, a loss and an optimizer in one's own script; what comes after the first step",
        ways={"code": guardtower},
    ),
    Tool(
        name="dlm-sway",
        version="0.1.0",
        extras="[hf]",
        also=(),
        claim="tells whether an adapter changes the behaviour of its base beyond noise",
        cannot="merged models without their adapter, templates, data, code",
        ways={"adapter": sway},
    ),
    Tool(
        name="traincheck",
        version="0.2.0",
        extras="",
        also=("transformers", "peft", "accelerate", "tqdm"),
        claim="learns invariants from a good run, and checks another run against them",
        cannot="anything but a training script, and a good run of it",
        ways={"code": traincheck},
    ),
)


def ask(tool: Tool, python: Path, case: Case, folder: Path, scratch: Path) -> tuple[Answer, float]:
    """What a tool says of an input, and the seconds that it took."""
    began = time.perf_counter()
    try:
        answer = tool.ways[case.kind](python, case, folder, scratch)
    except subprocess.TimeoutExpired:
        answer = Answer(alarm=False, findings=(), error=f"stopped after {LIMIT} s")
    return answer, time.perf_counter() - began


def interpreter(tool: Tool, environments: Path) -> Path:
    """That of the environment of a tool; ours runs in this one."""
    return environments / tool.name / "bin" / "python" if tool.version else Path(sys.executable)


if __name__ == "__main__":
    for rival in RIVALS:  # for nox: a name, and what is installed for it
        print(rival.name, rival.requirement, *rival.also)
