"""Calls a submission: finds its stages and loaded objects by the course's names or other usual ones."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from .patches import around, replaced
from .results import to_number

NAMES = {
    "train": ("train_model", "train", "finetune", "fine_tune"),
    "load": ("load", "load_model", "load_sft"),
    "test": ("test_model", "test", "evaluate"),
}

FOLDER = re.compile(
    r"((output|out|save|saved|model|ckpt|checkpoint|adapter|sft|lora|target)_?)*(dir|directory|path|folder)"
    r"|out(put)?|ckpt|save_to|adapter"
)
"""Names of arguments that mean the adapter's folder."""

_FIGURE = r"(\d+(?:\.\d+)?(?:e-?\d+)?)(?:\s*/\s*(\d+))?\s*(%?)"


class Submission:
    """The modules of a submission, and its stages by their names.

    Args:
        root: folder that contains the package, also the working folder.
        modules: names of modules to import, the one with the stages first.
        output: requested folder of the adapter.
    """

    def __init__(self, root: str, modules: Sequence[str], output: str) -> None:
        self.output = output
        for path in (root, root + "/" + modules[0].replace(".", "/").rpartition("/")[0]):
            if path not in sys.path:
                sys.path.insert(0, path)
        self.modules: list[ModuleType] = []
        for number, name in enumerate(modules):
            try:
                self.modules.append(importlib.import_module(name))
            except ImportError:
                if number == 0:
                    raise

    def find(self, stage: str) -> Callable[..., Any] | None:
        """Returns the function of a stage, or None."""
        for name in NAMES[stage]:
            function = getattr(self.modules[0], name, None)
            if callable(function):
                return function  # type: ignore[no-any-return]  # its type is foreign code's
        return None

    def call(self, stage: str) -> Any:
        """Calls a stage, with the adapter's folder if it takes one."""
        function = self.find(stage)
        if function is None:
            raise AttributeError("{} has no {}".format(self.modules[0].__name__, " or ".join(NAMES[stage][:2])))
        given = {}
        for name, each in inspect.signature(function).parameters.items():
            if each.kind in (each.VAR_KEYWORD, each.VAR_POSITIONAL):
                continue
            is_path = each.default is None or isinstance(each.default, (str, Path))
            is_folder = FOLDER.fullmatch(name.lower()) and is_path
            if each.default is each.empty or (is_folder and (stage != "load" or each.default is None)):
                given[name] = self.output
        return function(**given)


class LoadedSubmission:
    """A uniform way to ask a loaded submission, whatever its form.

    Args:
        owner: result of `load`: an object with methods, a function, or a tuple that the module's functions take.
        modules: modules of the submission, for functions that the owner lacks.
    """

    def __init__(self, owner: Any, modules: Sequence[ModuleType]) -> None:
        self.owner, self.modules = owner, modules

    @property
    def parts(self) -> tuple[Any, ...]:
        """Leading arguments of the module's own functions, before the prompts."""
        return self.owner if isinstance(self.owner, tuple) else (self.owner,)

    def answer(self, *questions: str) -> Any:
        """Answers questions with numbers, end to end."""
        if hasattr(self.owner, "answer"):
            return self.owner.answer(*questions)
        for name in ("answer", "ask", "predict"):
            function = self._of_modules(name)
            if function is not None:
                return [function(*self.parts, question) for question in questions]
        prompt, parse = self.find("format_prompt"), self.find("parse_answer")
        texts = self.complete([prompt(question) if prompt else question for question in questions])
        return [parse(text) if parse else float(text) for text in texts]

    def complete(self, prompts: Sequence[str]) -> Any:
        """Completes prompts with texts."""
        for name, takes_batch in (
            ("batched_generate", True),
            ("generate_batch", True),
            ("generate", False),
            ("complete", False),
        ):
            method = getattr(self.owner, name, None)
            if method is not None and not hasattr(self.owner, "generation_config"):  # a bare model generates ids
                return method(prompts) if takes_batch else [method(prompt) for prompt in prompts]
            function = self._of_modules(name)
            if function is not None:
                if takes_batch:
                    return function(*self.parts, prompts)
                return [function(*self.parts, each) for each in prompts]
        if callable(self.owner) and not hasattr(self.owner, "parameters"):
            return [self.owner(prompt) for prompt in prompts]
        raise AttributeError(
            "neither the object returned by load nor its module has answer, batched_generate or generate"
        )

    def find(self, name: str) -> Callable[..., Any] | None:
        """Returns a function of the owner, or else of its module."""
        return getattr(self.owner, name, None) or self._of_modules(name)

    def _of_modules(self, name: str) -> Callable[..., Any] | None:
        return next((getattr(module, name) for module in self.modules if callable(getattr(module, name, None))), None)

    @contextlib.contextmanager
    def record_texts(self) -> Iterator[list[list[Any]]]:
        """Records within the block each text that reaches the parser, with the number that the parser returns."""
        parsed: list[list[Any]] = []

        def parse(original: Any, /, text: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                value = original(text, *args, **kwargs)
            except Exception as error:
                parsed.append([str(text), f"crash: {type(error).__name__}"])
                raise
            parsed.append([str(text), to_number(value)])
            return value

        owners = [self.owner] if hasattr(self.owner, "parse_answer") else self.modules
        with contextlib.ExitStack() as stack:
            for owner in owners:
                if hasattr(owner, "parse_answer"):
                    stack.enter_context(replaced(owner, "parse_answer", around(parse)))
            yield parsed


def read_metrics(result: Any, output: str) -> dict[str, list[float | str]]:
    """Reads accuracy and answer_rate from the result, or else the output: every candidate number, as a share."""
    found: dict[str, list[float | str]] = {}
    output = re.sub(r"\b(np\.)?float\d+|\btensor", "", output)
    for name, pattern in (("accuracy", "accuracy"), ("answer_rate", "answer[ _-]?rate")):
        value = getattr(result, name, None)
        if value is None and isinstance(result, dict):
            value = result.get(name)
        if value is not None:
            found[name] = [to_number(value)]
            continue
        found[name] = []
        for seen in re.finditer(pattern, output, flags=re.IGNORECASE):
            line = re.split(r"\n|accuracy|answer[ _-]?rate", output[seen.end() : seen.end() + 80], flags=re.IGNORECASE)
            for number, of, percent in re.findall(_FIGURE, line[0]):
                value = float(number)
                shares = [value / 100] if percent or value > 1 else [value]
                found[name] += [*shares, *([value / float(of)] if of and float(of) else [])]
    return found
