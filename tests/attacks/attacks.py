"""Submissions that attack who grades them, as folders and zips in the course's layout. Each stops by itself.

None is to earn anything but `broken`, or be refused; none may harm the host or stop the next grading.
"""

from __future__ import annotations

import json
import stat
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

PAYLOADS = Path(__file__).with_name("payloads")
BASE_LLM = '''
class BaseLLM:
    """Answers nothing."""

    def __init__(self, checkpoint="HuggingFaceTB/SmolLM2-360M-Instruct"):
        self.checkpoint = checkpoint

    def format_prompt(self, question):
        return question

    def batched_generate(self, prompts, num_return_sequences=None, temperature=0):
        return ["<answer>1</answer>" for _ in prompts]

    def parse_answer(self, answer):
        return 1.0

    def answer(self, *questions):
        return [self.parse_answer(text) for text in self.batched_generate(questions)]
'''
SFT = """
import json
from pathlib import Path

from .attack import attack
from .base_llm import BaseLLM

TARGET = json.loads(Path(__file__).with_name("target.json").read_text())
{at_import}

def load():
    return BaseLLM()


def train_model(output_dir="homework/sft_model", **kwargs):
    attack(TARGET)


def test_model(ckpt_path="homework/sft_model"):
    print("benchmark_result.accuracy=1.0 benchmark_result.answer_rate=1.0")
"""


@dataclass(frozen=True)
class Target:
    """What an attack is told to go for, all of it planted by the test.

    Attributes:
        secret: a file that it must not read.
        victim: a file that it must not change.
        outside: a folder that must stay empty.
        pid: a process, leader of its group, that must live on.
        port, abstract: listeners at which nothing may arrive: TCP and UDP on 127.0.0.1, and a local socket's name.
        sandboxed: not empty where system folders can be tried without harm, should the sandbox leak.
    """

    secret: str
    victim: str
    outside: str
    pid: str
    port: str
    abstract: str
    sandboxed: str


@dataclass(frozen=True)
class Attack:
    """One attack.

    Attributes:
        name: what it does.
        build: makes it below a folder and gives its path, a folder or a zip, to be graded.
        stopped_by: the limit that ends it; empty where it ends by itself.
        needs_sandbox: why it can be run within bubblewrap only; empty where limits hold it.
        refused: what is said of a zip that is not even unpacked.
    """

    name: str
    build: Callable[[Path, Target], Path]
    stopped_by: str = ""
    needs_sandbox: str = ""
    refused: str = ""


def package(name: str, *, at_import: bool = False) -> Callable[[Path, Target], Path]:
    """The builder of a package that runs a payload when it trains, or when it is imported."""

    def build(folder: Path, target: Target) -> Path:
        homework = folder / "submission" / "homework"
        homework.mkdir(parents=True)
        (homework / "__init__.py").touch()
        (homework / "base_llm.py").write_text(BASE_LLM)
        (homework / "data.py").write_text("class Dataset:\n    pass\n")
        (homework / "sft.py").write_text(SFT.format(at_import="attack(TARGET)" if at_import else ""))
        (homework / "attack.py").write_text((PAYLOADS / f"{name}.py").read_text())
        (homework / "target.json").write_text(json.dumps(asdict(target)))
        return homework.parent

    return build


def zip_that_climbs_out(folder: Path, target: Target) -> Path:
    """Unpacked without care, it replaces the victim."""
    return _zipped(folder, {"homework/sft.py": b"", "../" * 12 + target.victim.lstrip("/"): b"forged"})


def zip_with_an_absolute_path(folder: Path, target: Target) -> Path:
    """Unpacked without care, it plants a file."""
    return _zipped(folder, {"homework/sft.py": b"", target.outside + "/planted": b"forged"})


def zip_bomb(folder: Path, target: Target) -> Path:
    """Half a megabyte that becomes 256 (bounded, should it be unpacked)."""
    return _zipped(folder, {f"homework/data/{number}": bytes(2**26) for number in range(4)})


def zip_with_a_link(folder: Path, target: Target) -> Path:
    """Unpacked without care, its adapter's settings are the secret."""
    path = _zipped(folder, {"homework/sft.py": b""})
    link = zipfile.ZipInfo("homework/sft_model/adapter_config.json")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, target.secret)
    return path


def zip_with_a_pickle(folder: Path, target: Target) -> Path:
    """An adapter that runs code in whoever loads it."""
    payload = f"cos\nmkdir\n(S{target.outside + '/unpickled'!r}\ntR.".encode()
    names = ("adapter_model.bin", "training_args.bin", "optimizer.pt")
    files = {f"homework/sft_model/{name}": payload for name in names}
    config = b'{"peft_type": "LORA", "r": 8, "lora_alpha": 8, "target_modules": "all-linear"}'
    return _zipped(folder, files | {"homework/sft_model/adapter_config.json": config, "homework/sft.py": b""})


def _zipped(folder: Path, files: dict[str, bytes]) -> Path:
    path = folder / "submission.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def _packaged(name: str, *, stopped_by: str = "", needs_sandbox: str = "", at_import: bool = False) -> Attack:
    return Attack(name, package(name, at_import=at_import), stopped_by, needs_sandbox)


VISIBLE = "files of this user can be reached without it"
ALIKE = "processes of this user can be signalled and traced without it"
CALLS = "its filter of system calls is what forbids that"
TEMPORARY = "the system's temporary folders are in reach without it"
ATTACKS = (
    _packaged("exits_at_import", at_import=True),
    _packaged("exits_hard_in_training"),
    _packaged("prints_a_forged_verdict"),
    _packaged("writes_forged_results", needs_sandbox=VISIBLE),
    _packaged("patches_libraries"),
    _packaged("walks_to_the_judge", needs_sandbox=ALIKE),
    _packaged("loops_for_ever", stopped_by="time"),
    _packaged("loops_and_ignores_signals", stopped_by="time"),
    _packaged("bombs_with_forks", stopped_by="processes"),
    _packaged("bombs_with_memory", stopped_by="memory"),
    _packaged("takes_memory_at_once"),
    _packaged("floods_the_output", stopped_by="output"),
    _packaged("reads_secrets", needs_sandbox=VISIBLE),
    _packaged("calls_out", needs_sandbox="the network can be reached without it"),
    _packaged("writes_outside", needs_sandbox=VISIBLE),
    _packaged("writes_to_its_interpreter", needs_sandbox=VISIBLE),
    _packaged("signals_the_judge", needs_sandbox=ALIKE),
    _packaged("traces_the_judge", needs_sandbox=ALIKE),
    _packaged("leaves_a_daemon"),
    _packaged("makes_an_enormous_file"),
    _packaged("fills_the_disk", stopped_by="disk"),
    _packaged("fills_the_memory_disks", needs_sandbox=TEMPORARY),
    _packaged("holds_memory_in_memfd", needs_sandbox=CALLS),
    _packaged("holds_memory_in_shared_segments", needs_sandbox=CALLS),
    _packaged("holds_memory_in_pipes", needs_sandbox=CALLS),
    _packaged("holds_memory_in_sockets", stopped_by="memory", needs_sandbox="sockets are counted in its own network"),
    _packaged("holds_memory_in_page_tables", stopped_by="memory"),
    _packaged("hides_behind_an_ended_thread", stopped_by="memory"),
    _packaged("leaves_a_kernel_key", needs_sandbox=CALLS),
    _packaged("calls_by_another_table", needs_sandbox=CALLS),
    _packaged("opens_unusual_sockets", needs_sandbox=CALLS),
    _packaged("makes_many_files", stopped_by="files"),
    _packaged("makes_many_files_in_memory", stopped_by="files", needs_sandbox=TEMPORARY),
    _packaged("nests_folders_deeply", stopped_by="files"),
    _packaged("makes_a_namespace", needs_sandbox="it is what forbids that"),
    _packaged("links_its_result_to_the_judge"),
    _packaged("hides_a_pickle_in_the_adapter"),
    Attack("zip_that_climbs_out", zip_that_climbs_out, refused="outside"),
    Attack("zip_with_an_absolute_path", zip_with_an_absolute_path, refused="outside"),
    Attack("zip_bomb", zip_bomb, refused="bomb"),
    Attack("zip_with_a_link", zip_with_a_link, refused="link"),
    Attack("zip_with_a_pickle", zip_with_a_pickle),
)
