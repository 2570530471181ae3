"""The folders in which a submission is run: its code, the harness's questions, a hub cache, and the agent's results."""

from __future__ import annotations

import json
import os
import secrets
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from sft_ref.errors import MachineError, MissingModuleError
from sft_ref.harness import instruments
from sft_ref.harness.evidence.processes import Crash, Process
from sft_ref.harness.isolation import hub, sandbox
from sft_ref.harness.isolation.sandbox import CommandResult, Limits
from sft_ref.io import plain_files
from sft_ref.io.base_config import CONFIG, WEIGHTS
from sft_ref.reference.data import Row

from .layout import Layout
from .sections import is_well_formed

AGENT = Path(__file__).with_name("agent")
_INSTRUMENTS = Path(instruments.__file__).parent
SHARED = tuple(path for room in ("scripted", "steps") for path in sorted((_INSTRUMENTS / room).glob("*.py")))
"""Files that the agent shares with the harness."""
_PLACE = ("a", "b", "c")
"""Path of the copied agent in its package: as deep as in `sft_ref.harness`, so that its relative imports work."""
_START = f"import sys; sys.path.insert(0, {{home!r}}); from {{package}}.{'.'.join(_PLACE)}.main import main; main()"
_PACKAGES = {"PIL": "pillow", "cv2": "opencv-python-headless", "sklearn": "scikit-learn", "yaml": "pyyaml"}
"""Packages whose names differ from those of their modules."""
_OF_LIBRARIES = (
    *("transformers", "peft", "TrainingArguments", "Trainer"),
    *("unexpected keyword", "cannot import name"),
)
"""Words in messages of exceptions that a different library version may cause."""
_ROOM = 64 * 2**20
"""Minimum free disk bytes before a process starts: on a full disk it would fail through no fault of its own."""
_LARGEST = 64 * 2**20
"""Maximum bytes of a JSON file of the agent."""


@dataclass(frozen=True)
class AgentResult:
    """The result of one agent command.

    Attributes:
        sections: sections that the agent wrote, by name; `crash` in a section is the submission's exception.
        folder: folder of the tensors; a copy of plain files that no submission can reach.
        finished: how the process ended.
        left_out: files that were not copied, one line each.
    """

    sections: Mapping[str, Mapping[str, Any]]
    folder: Path
    finished: CommandResult
    left_out: tuple[str, ...] = ()

    def __getitem__(self, section: str) -> Mapping[str, Any]:
        """Returns a section; empty if it was not written."""
        return self.sections.get(section, {})

    def crash(self, *sections: str) -> Crash | None:
        """Returns the first exception in these sections."""
        crash: Mapping[str, Any] | None = next(
            (self[name]["crash"] for name in sections if "crash" in self[name]), None
        )
        if crash is None:
            return None
        return Crash(
            type=crash["type"],
            message=crash["message"],
            where=crash.get("where", ""),
            functions=tuple(map(str, crash.get("functions", ()))),
            trace=crash["trace"],
            description=self._describe(crash["type"], crash["message"]),
        )

    def _describe(self, kind: str, message: str) -> str:
        """Describes an exception in one line, with the library versions that may have caused it."""
        text = f"{kind}: {message}"
        if kind in ("TypeError", "ImportError", "AttributeError") and any(word in message for word in _OF_LIBRARIES):
            found = self["start"].get("versions", {})
            text += (
                f" (transformers {found.get('transformers')} and peft {found.get('peft')} here: if it was written for"
                " others, give --python an interpreter that has them, or nox -s grade -- PATH --transformers 4.52.4)"
            )
        return text

    @property
    def process(self) -> Process:
        """How the process ended."""
        return Process(self.ended_early, self.finished.output[-300:], self.notes)

    def tensors(self, name: str) -> dict[str, torch.Tensor]:
        """Returns the tensors of a section; empty if none can be read."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        path = self.folder / f"{name}.safetensors"
        try:
            return load_file(path)
        except (SafetensorError, OSError):
            return {}

    @property
    def ended_early(self) -> str:
        """How the process ended before the agent was done; empty if the agent finished."""
        if self.finished.ended:
            used = f"{self.finished.seconds:.0f} s, {self.finished.processor:.0f} s of them of processor time"
            return f"stopped after {used}: {self.finished.ended}"
        if "end" not in self.sections:
            return f"ended by itself with exit code {self.finished.returncode} before it was done"
        return ""

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the reader on how the process was run."""
        return (*(str(note)[:300] for note in self["end"].get("notes", ())[:20]), *self.left_out)


@dataclass(frozen=True)
class Workplace:
    """The folders of one grading.

    Attributes:
        folder: folder of the submission's process; all that it can write is in it.
        layout: layout of the submission's copy in the folder.
        base: folder of the model that every hub id resolves to.
        hub: hub cache that resolves every hub id to the base model.
        python: interpreter that runs the submission.
        limits: resource limits for each process of the submission.
        called: the target's name as the user typed it.
    """

    folder: Path
    layout: Layout
    base: Path
    hub: Path
    python: str = sys.executable
    limits: Limits = field(default_factory=Limits)
    called: str = "PATH"

    def install_data(self, rows: Sequence[Row], unseen: Sequence[Row]) -> bool:
        """Installs the harness's data and removes the shipped adapter, if any; returns whether there was one."""
        files = plain_files.list_files(self.layout.root)
        for name, content in (("train.json", rows), ("valid.json", unseen)):
            text = json.dumps([list(row) for row in content])
            for place in {path.parent for path in files if path.name == name} | {self.layout.data}:
                plain_files.make_folder(self.folder, place.relative_to(self.folder).parts)
                plain_files.remove(place / name)
                (place / name).write_text(text, encoding="utf-8")
        shipped = list(self.layout.output.glob("adapter_*"))
        for path in shipped:
            plain_files.remove(path)
        return bool(shipped)

    def run(self, command: str, name: str, **request: Any) -> AgentResult:  # noqa: ANN401
        """Runs one command in a separate process, and reads the agent's results.

        Raises:
            MachineError: the machine stopped the run; the submission is not at fault.
            MissingModuleError: the submission needs a module that is neither its own nor installed.
        """
        if (free := shutil.disk_usage(self.folder).free) < _ROOM:
            raise MachineError(
                f"{self.called}: not graded: the disk for temporary files has {free // 2**20} MB free, and"
                f" {_ROOM // 2**20} MB are needed; free some space, or set TMPDIR to a folder on another disk"
            )
        plain_files.remove(self.folder / "out")
        out = plain_files.make_folder(self.folder, ("out", name))
        # no name visible to the submission reveals that it is graded
        base, home, package = self.hub / hub.FILES, self.folder.parent / "lib", f"run_{secrets.token_hex(4)}"
        plain_files.remove(home)
        copy_agent(home / package)
        config = json.loads((self.base / CONFIG).read_text(encoding="utf-8"))
        nonce = secrets.token_hex(16)
        given = {
            "command": command,
            "nonce": nonce,
            "out": str(out),
            "root": str(self.layout.root),
            "modules": self.layout.modules,
            "output": str(self.layout.output),
            "base": str(base),
            "weights": str(base / WEIGHTS),
            "model_class": config["architectures"][0],
            "vocab_size": config["vocab_size"],
            **request,
        }
        finished = sandbox.run(
            [self.python, "-c", _START.format(home=str(home), package=package)],
            workspace=self.folder,
            readable=[home, self.hub],
            environment=_environment(self.hub),
            stdin=json.dumps(given).encode(),
            cwd=self.layout.root,
            limits=self.limits,
        )
        results = self.folder.parent / "results" / name
        left_out = plain_files.copy_folder(self.folder, ("out", name), results)
        result = AgentResult(_read(results, nonce), results, finished, left_out.lines())
        if finished.starved:
            raise MachineError(f"{self.called}: not graded: {finished.starved}; grade it again on an idle machine")
        self._look_for_modules(result)
        return result

    def _look_for_modules(self, result: AgentResult) -> None:
        """Raises MissingModuleError if a crash was caused by a module that is not installed."""
        crashes = (each["crash"] for name, each in result.sections.items() if "crash" in each and name != "start")
        crash = next((crash for crash in crashes if crash.get("lacking")), None)
        if crash is None:
            return
        module = str(crash["lacking"])
        package = _PACKAGES.get(module, module)
        hints = [str(each) for each in crash.get("requirements", ())]
        also = f" Of its requirements.txt these are not installed: {', '.join(hints)}." if hints else ""
        raise MissingModuleError(
            f"{self.called}: it needs the module {module}, which {self.python} lacks.{also} "
            f"Build an interpreter that has it: nox -s grade -- {shlex.quote(self.called)} --with {package}"
        )


def copy_agent(package: Path) -> None:
    """Copies the agent, and the files that it shares with the harness, to the paths that the agent expects."""
    shutil.copytree(AGENT, package.joinpath(*_PLACE), ignore=shutil.ignore_patterns("__pycache__"))
    for path in SHARED:
        copy = package / _INSTRUMENTS.name / path.relative_to(_INSTRUMENTS)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)


def _environment(cache: Path) -> dict[str, str]:
    threads = os.environ.get("OMP_NUM_THREADS", str(os.cpu_count() or 1))
    return {"HF_HOME": str(cache), "HF_HUB_CACHE": str(cache), "OMP_NUM_THREADS": threads}


def _read(out: Path, nonce: str) -> dict[str, dict[str, Any]]:
    """Reads the agent's sections; ignores files without its nonce, too large, not JSON, or of other types."""
    sections = {}
    for path in sorted(out.glob("*.json")):
        if not path.is_file() or path.stat().st_size > _LARGEST:
            continue
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, OSError, RecursionError):
            continue
        own = isinstance(content, dict) and content.pop("nonce", None) == nonce
        if own and is_well_formed(path.stem, content):
            sections[path.stem] = content
    return sections
