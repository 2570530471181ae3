"""Compares model and prompts of the user's inference code with the record; the code is executed without a sandbox."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from sft_ref.console.printable import printable
from sft_ref.errors import SftRefError
from sft_ref.harness.recorders.folder.tokenizers import load_tokenizer_of
from sft_ref.io.foreign import foreign_files
from sft_ref.io.rows.forms import Row, read_all_rows
from sft_ref.reference.tokens import IGNORE_INDEX
from sft_ref.witnessing.record.schema import Probe, StoredRecord, read_stored

from .result import RecordDifference, Verification, join
from .verify import verify_loaded

_SHOWN = 120
"""Number of characters of a prompt in a message, counted from its end."""


class OwnCodeError(SftRefError):
    """The user's inference code cannot be called, or its results cannot be compared."""


def verify_own_code(
    folder: Path, loader: str, format_prompt: str | None = None, data: Path | None = None
) -> Verification:
    """Calls the user's code in this process, and compares model, tokenizer and prompts with the record.

    Args:
        folder: folder with the record.
        loader: "FILE.py:NAME" of a function without arguments that returns a model, or a model and its tokenizer.
        format_prompt: "FILE.py:NAME" of a function that takes a question (or a list of messages, if a row has several)
            and returns the prompt as text; None skips the prompts.
        data: training rows that contain the questions of the probes; needed with `format_prompt`.

    Raises:
        AdapterError: the folder contains no readable record.
        DataError: the rows cannot be read.
        OwnCodeError: the code cannot be called, or returns something else.
    """
    stored = read_stored(folder)
    rows = read_all_rows(data) if data is not None else ()
    found = call(loader, find_function(loader))
    model, tokenizer = found if isinstance(found, tuple) and len(found) == 2 else (found, None)  # noqa: PLR2004
    if not callable(getattr(model, "get_input_embeddings", None)):
        raise OwnCodeError(
            f"{loader}: returns {type(model).__name__}, and must return a transformers model, or model and tokenizer"
        )
    with foreign_files(OwnCodeError, f"{loader}: the model that it returns cannot be compared"):
        result = verify_loaded(stored, model, tokenizer)
    if format_prompt is None:
        return result
    tokenizer = tokenizer or load_tokenizer_of(folder, None).tokenizer
    return join(result, compare_prompts(stored, tokenizer, rows, format_prompt))


def find_function(name: str) -> Callable[..., Any]:
    """Executes a file and returns one of its functions; the file can import modules from its own folder.

    Args:
        name: "FILE.py:NAME".

    Raises:
        OwnCodeError: there is no such file or function, or the file raises an exception.
    """
    path, _, function = name.rpartition(":")
    file = Path(path).resolve()
    if not path or not file.is_file():
        raise OwnCodeError(f"{name}: there is no such file; give FILE.py:FUNCTION")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise OwnCodeError(f"{name}: is not a Python file; give FILE.py:FUNCTION")
    module = sys.modules.get(file.stem)
    if module is None or getattr(module, "__file__", None) != str(file):
        module = importlib.util.module_from_spec(spec)
        sys.modules[file.stem] = module
        if str(file.parent) not in sys.path:
            sys.path.insert(0, str(file.parent))
        run: Callable[..., Any] = spec.loader.exec_module
        call(str(file), run, module)
    found = getattr(module, function, None)
    if not callable(found):
        raise OwnCodeError(f"{name}: the file has no function {function!r}")
    checked: Callable[..., Any] = found
    return checked


def call(name: str, function: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401
    """Calls a function of the user and returns its result.

    Raises:
        OwnCodeError: the function raises an exception, or tries to end the process.
    """
    try:
        with foreign_files(OwnCodeError, f"{name}: raises"):
            return function(*arguments)
    except SystemExit as error:
        raise OwnCodeError(f"{name}: ends the process (exit code {error.code}); it must return") from error


def compare_prompts(stored: StoredRecord, tokenizer: Any, rows: Sequence[Row], name: str) -> Verification:  # noqa: ANN401
    """Compares the prompts of the user's function with those of the training.

    Args:
        stored: the record; its probes are training rows.
        tokenizer: tokenizer that encodes the prompts.
        rows: rows that contain the questions of the probes.
        name: "FILE.py:NAME" of the function.

    Raises:
        OwnCodeError: the function raises an exception, or returns no text.
    """
    probes = [each for each in stored.record.probes if each.source == "training"]
    if not probes:
        return Verification((), (), notes=("the record has no rows of the training: prompts are not compared",))
    function = find_function(name)
    found: list[RecordDifference] = []
    compared = 0
    for probe in probes:
        row = _row_of(probe, tokenizer, rows)
        if row is None:
            continue
        compared += 1
        text = call(name, function, _question(row))
        if not isinstance(text, str):
            raise OwnCodeError(f"{name}: returns {type(text).__name__}, and must return the prompt as text")
        found += _compare(probe, tokenizer, text, row)
    if not compared:
        raise OwnCodeError("--data: holds none of the recorded questions; give the rows that were trained on")
    note = f"prompts of {compared} of {len(probes)} recorded rows are compared"
    return Verification(tuple(found[:1]), ("template",), notes=(note,))


def _question(row: Row) -> object:
    """Returns a single question as text, and several messages in chat format."""
    if len(row.messages) == 1:
        return row.question
    return [{"role": role, "content": content} for role, content in row.messages]


def _row_of(probe: Probe, tokenizer: Any, rows: Sequence[Row]) -> Row | None:  # noqa: ANN401
    """Returns the row whose question a probe contains; the longest one if there are several."""
    text: str = tokenizer.decode(_prompt(probe) or probe.input_ids, skip_special_tokens=False)
    inside = [row for row in rows if row.question.strip() and row.question.strip() in text]
    return max(inside, key=lambda row: len(row.question), default=None)


def _prompt(probe: Probe) -> list[int]:
    """Returns the ids before the first supervised token; empty if everything is supervised."""
    first = next(place for place, label in enumerate(probe.labels) if label != IGNORE_INDEX)
    return probe.input_ids[:first] if first > 1 else []


def _compare(probe: Probe, tokenizer: Any, text: str, row: Row) -> Iterator[RecordDifference]:  # noqa: ANN401
    ids = list(tokenizer(text)["input_ids"])
    due = _prompt(probe)
    if ids == due or (not due and probe.input_ids[: len(ids)] == ids):
        return
    trained: str = tokenizer.decode(due or probe.input_ids, skip_special_tokens=False)
    what = (
        f"it writes {_end(text)}, and training had {_end(trained)}"
        if text != trained
        else f"{_end(text)} becomes {len(ids)} tokens, and was {len(due)} in training"
    )
    yield RecordDifference("template", f"the prompt of row {row.number}: {what}", "write prompts as in training")


def _end(text: str) -> str:
    return repr(printable(text if len(text) <= _SHOWN else f"…{text[-_SHOWN:]}"))
