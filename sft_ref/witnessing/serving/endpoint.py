"""Compares an endpoint with the record of a training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sft_ref.errors import SftRefError
from sft_ref.harness.recorders.folder.tokenizers import load_tokenizer_of
from sft_ref.http.client import EndpointClient, find_key, root_of
from sft_ref.witnessing.record.schema import StoredRecord, read_stored
from sft_ref.witnessing.verifying.result import KINDS, Kind, Verification, in_order
from sft_ref.witnessing.verifying.tokenizers import compare_template, compare_tokenizer

from .comparing import ServedVerdict, compare_served
from .probe_client import ProbeClient, find_model, request_probes
from .templates import compare_chats

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class EndpointVerification:
    """The result of a comparison of an endpoint with a record.

    Attributes:
        verdict: which model is served, as text.
        model: its name on the endpoint.
        found: differences, figures and notes.
    """

    verdict: ServedVerdict
    model: str
    found: Verification

    @property
    def ok(self) -> bool:
        """Whether the trained model is served."""
        return self.found.ok

    def __str__(self) -> str:
        return f"{self.model}: {self.verdict}\n{self.found}"

    def as_json(self) -> dict[str, Any]:
        """Returns the result for a JSON file."""
        return {"verdict": self.verdict, "model": self.model, **self.found.as_json()}


def verify_endpoint(
    url: str, folder: Path, *, model: str | None = None, key_env: str | None = None
) -> EndpointVerification:
    """Requests logprobs of the probes from an OpenAI-style endpoint, and compares them with the record.

    Args:
        url: URL of the server; ``/v1`` is appended if it contains no version.
        folder: folder with the record, and with the tokenizer if the server does not return token ids.
        model: the model's name on the endpoint; None takes the only one.
        key_env: environment variable that contains the key; None takes ``OPENAI_API_KEY`` if it is set.

    Raises:
        AdapterError: the folder contains no readable record.
        EndpointError: the endpoint cannot be reached or compared.
    """
    stored = read_stored(folder)
    root = root_of(url)
    tokenizer, template, why_not = _find_tokenizer(stored, folder)
    examined: list[Kind] = ["load", "precision"]
    with EndpointClient(root, find_key(root, key_env)) as client:
        asker = ProbeClient(client, find_model(client, model), tokenizer)
        served = request_probes(asker, stored)
        compared = compare_served(stored, served)
        differences, notes, verdict = list(compared.differences), list(compared.notes), compared.verdict
        if why_not:
            notes.append(f"chat template and texts of tokens are not compared: {why_not}")
        elif template is not None and not served.miscounted and not served.is_nan:
            chats = compare_chats(asker, served.form, template)
            if chats.difference is not None:
                differences.append(chats.difference)
                verdict = "another template or tokenizer" if compared.verdict == "trained model" else verdict
            if chats.why_not:
                notes.append(f"the chat template is not compared: {chats.why_not}")
            else:
                examined.append("template")
    if served.form.echoes or not served.form.as_ids or served.miscounted:
        examined.append("tokenizer")
    found = Verification(
        in_order(differences), tuple(kind for kind in KINDS if kind in examined), compared.figures, tuple(notes)
    )
    return EndpointVerification(verdict, asker.model, found)


def _find_tokenizer(stored: StoredRecord, folder: Path) -> tuple[PreTrainedTokenizerBase | None, str | None, str]:
    """Loads the tokenizer of training with its chat template from the folder, or returns why it is not there."""
    try:
        found = load_tokenizer_of(folder, None)
    except SftRefError as error:
        return None, None, str(error)
    if [*compare_tokenizer(stored.record, found.tokenizer)]:
        return None, None, "the folder's tokenizer is not that of training"
    if [*compare_template(stored.record, found.template, found.tokenizer)]:
        return found.tokenizer, None, "the folder's chat template is not that of training"
    return found.tokenizer, found.template, ""
