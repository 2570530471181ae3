"""Records training data that passes through the libraries: texts, labels, learning rates, and the final adapter."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import peft
import torch

from ....instruments.steps.step_recorder import StepRecorder
from .batches import IGNORE_INDEX, Division, Reach, divide, without_padding
from .inspection import (
    active_adapters,
    added_rows,
    changed_base_weights,
    choose_rows,
    compute_logits,
    count_dtypes,
    is_blank,
    next_token_losses,
    unwrapped,
)
from .results import ResultWriter
from .time_limit import TimeLimit, shorten

_EARLY = 20
"""Number of optimizer steps after which the log is first written, in case training never ends."""

Example = tuple[tuple[int, ...], tuple[int, ...]]


class TrainingRecorder:
    """Records a training.

    Args:
        base_weights: weights of the base model, by name.
        vocab_size: vocabulary size of the base model.
        seconds: time for the steps of a Trainer.
        limit: time limit for a loop of the submission's own.
        writer: writes the results.

    Attributes:
        examples: every text that reached the model with its labels, each once, without padding: (ids, labels).
        forward_passes: for each pass, the indices of its examples, and its loss (None if the model was not asked for
            one). A packed row whose examples attend to one another has `examples` and `position_ids` for an index.
        optimizer_steps: for each step, its learning rate, the number of forward passes before it, and Adam's betas.
        recorded_steps: for the model that is trained last, fields of a `RecordedStep`; `passes` are the first and last
            index + 1 of its forward passes, and `trained` is None if it is unchanged since the previous step.
        is_paused: whether forward passes are the agent's own.
    """

    def __init__(
        self,
        base_weights: Mapping[str, torch.Tensor],
        vocab_size: int,
        seconds: float,
        limit: TimeLimit,
        writer: ResultWriter,
    ) -> None:
        self.base_weights, self.vocab_size = base_weights, vocab_size
        self.seconds, self.limit, self.writer = seconds, limit, writer
        self.examples: list[Example] = []
        self.forward_passes: list[tuple[list[Any], float | None]] = []
        self.optimizer_steps: list[tuple[float, int, list[float] | None]] = []
        self.recorded_steps: list[dict[str, Any]] = []
        self.is_paused = False
        self._step: StepRecorder | None = None
        self._begun = 0
        self._trained: frozenset[str] = frozenset()
        self._indices: dict[Example, int] = {}
        self._unlabelled: dict[tuple[int, ...], None] = {}
        self._labelled_padding = 0
        self._optimizer: dict[str, Any] = {}
        self._dtype_counts: dict[str, dict[str, int]] = {}
        self._shortened: tuple[int, int] | None = None
        self._model: Any = None
        self._stepped_model: Any = None
        self._models = 0
        self._peft_models: list[Any] = []
        self._step_labels: torch.Tensor | None = None
        self._loader_batch: dict[str, Any] | None = None
        self._pending: tuple[torch.Tensor, torch.Tensor, Division] | None = None
        self._first_pass = 0
        self._first_losses: torch.Tensor | None = None
        self._reach = Reach()
        self._get_state = peft.get_peft_model_state_dict  # before the submission can replace it
        self._states: dict[str, dict[str, torch.Tensor]] = {}
        self._configs: dict[str, Any] = {}
        self._active: list[str] = []
        self._changed: list[str] = []
        self._has_moved = False

    # Called by the patches of libraries.

    def run_trainer(self, original: Any, trainer: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Wraps `Trainer.train`."""
        self.is_paused = True
        self._shortened = shorten(trainer, self.seconds, self.writer.note)
        self.is_paused = False
        result = original(trainer, *args, **kwargs)
        self.snapshot()
        return result

    def run_training_step(
        self, original: Any, trainer: Any, /, model: Any, inputs: Any, *args: Any, **kwargs: Any
    ) -> Any:
        """Wraps `Trainer.training_step`."""
        labels = inputs.get("labels") if hasattr(inputs, "get") else None
        self._step_labels = labels.detach().cpu() if isinstance(labels, torch.Tensor) else None
        try:
            return original(trainer, model, inputs, *args, **kwargs)
        finally:
            self._step_labels = None

    def make_peft_model(self, original: Any, model: Any, /, *args: Any, **kwargs: Any) -> None:
        """Wraps `PeftModel.__init__`."""
        original(model, *args, **kwargs)
        self._peft_models.append(model)

    def save_peft_model(self, original: Any, model: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Wraps `PeftModel.save_pretrained`."""
        self.snapshot()
        return original(model, *args, **kwargs)

    def load_state_dict(self, original: Any, module: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Wraps `Module.load_state_dict`."""
        result = original(module, *args, **kwargs)
        if any(each is self._model for each in module.modules()):
            self._has_moved = True
        return result

    def iterate_loader(self, original: Any, loader: Any, /) -> Iterator[Any]:
        """Wraps `DataLoader.__iter__`."""
        for batch in original(loader):
            self._loader_batch = dict(batch) if hasattr(batch, "keys") else None
            yield batch

    def cross_entropy(self, original: Any, /, input: Any, target: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: A002
        """Wraps `torch.nn.functional.cross_entropy`."""
        if self._pending is not None and target.dtype == torch.long:
            self._record_target(target.detach().cpu())
        return original(input, target, *args, **kwargs)

    def before_step(self, optimizer: Any, *args: Any) -> None:
        """Runs before an optimizer step."""
        if self._step is not None and not self.limit.is_over:
            self._observe(self._step.before_step, optimizer)

    def after_step(self, optimizer: Any, *args: Any) -> None:
        """Runs after an optimizer step."""
        if self.limit.is_over:  # the step did nothing
            return
        if self._step is not None:
            self._observe(self._step.after_step, optimizer)
        self._models += self._model is not self._stepped_model
        self._stepped_model = self._model
        group = optimizer.param_groups[0]
        betas = group.get("betas")  # a schedule may change them at each step
        betas = [float(each) for each in betas] if betas else None
        self.optimizer_steps.append((float(group["lr"] or 0.0), len(self.forward_passes), betas))
        self._optimizer = {
            "name": type(optimizer).__name__,
            "weight_decay": float(group.get("weight_decay") or 0.0),
            "tensors": sum(len(each["params"]) for each in optimizer.param_groups),
        }
        self._has_moved = True
        if len(self.optimizer_steps) == _EARLY:
            self._write_log()

    # Called by the patch of the model's forward.

    def find_labels(self, ids: torch.Tensor, given: Mapping[str, Any]) -> torch.Tensor | None:
        """Returns the labels of a batch: those passed to the model, or given by Trainer or a DataLoader; else None."""
        labels: torch.Tensor | None = given.get("labels")
        if labels is None and self._step_labels is not None and self._step_labels.shape == ids.shape:
            labels = self._step_labels
        return self._labels_of_loader(ids) if labels is None else labels

    def before_forward(
        self, forward: Callable[..., Any], model: Any, given: Mapping[str, Any], labels: torch.Tensor | None
    ) -> None:
        """Runs before a forward pass in training."""
        if self._model is None:
            self._dtype_counts = count_dtypes(model)
        self._observe(self._begin_step, model)
        self._model = model
        self._pending = None
        ids, mask = given["input_ids"].detach().cpu(), given.get("attention_mask")
        flat = mask is not None and mask.dim() == ids.dim()
        unpadded = mask.detach().cpu().bool() if mask is not None and flat else torch.ones_like(ids, dtype=torch.bool)
        division = divide(ids, unpadded, given)
        if division.is_packed:
            division.crossing = self._reach.crosses(forward, given, unpadded, division)
        if labels is None:  # the loss function may reveal them
            self._pending = (ids, unpadded, division)
            self._unlabelled.update({tuple(row[own].tolist()): None for row, own in zip(ids, unpadded, strict=True)})
            self.forward_passes.append(([], None))
            return
        self._record_batch(ids, unpadded, labels.detach().cpu(), division)

    def record_first_losses(self, forward: Callable[..., Any], model: Any, given: Mapping[str, Any]) -> None:
        """Records the token losses before a model's first forward pass, if its adapter still adds nothing."""
        if self._first_pass != len(self.forward_passes) - 1 or not is_blank(model):
            return
        try:
            self._first_losses = next_token_losses(forward, model, given)
        except Exception as error:  # noqa: BLE001  # the forward may be of any kind
            self.writer.note(f"the losses at the first step were not recorded: {type(error).__name__}: {error}")

    def after_forward(self, loss: torch.Tensor | None) -> None:
        """Records the loss of the forward pass."""
        if loss is not None:
            self.forward_passes[-1] = (self.forward_passes[-1][0], float(loss.detach()))

    # Optimizer steps.

    def _observe(self, function: Callable[[Any], None], argument: Any) -> None:
        """Records a step; a failure to do so is no fault of the submission, and only ends the recording of steps."""
        try:
            function(argument)
        except Exception as error:  # noqa: BLE001  # optimizers and tensors of any kind
            if self._step is not None:
                self._step.remove_hooks()
            self._step, self.recorded_steps = None, []
            self.writer.note(f"the optimizer steps of training were not recorded: {type(error).__name__}: {error}")

    def _begin_step(self, model: Any) -> None:
        """Runs before a forward pass in training; a pass of another model restarts the record."""
        self._close_step()
        if model is not self._model:
            self.limit.begin_model()
            if self._step is not None:
                self._step.remove_hooks()
            self._step, self.recorded_steps = StepRecorder(model, model, adapter_alone=True), []
            self._begun, self._trained = len(self.forward_passes), frozenset()
            self._first_pass, self._first_losses = self._begun, None
        if self._step is not None and self._step.begin():
            self._begun = len(self.forward_passes)

    def _close_step(self) -> None:
        """Ends a step in which an optimizer stepped."""
        fields = None if self._step is None else self._step.close()
        if fields is None:
            return
        trained, fields["trained"] = fields["trained"], sorted(fields["trained"])
        if trained == self._trained:
            fields["trained"] = None
        fields["passes"] = [self._begun, len(self.forward_passes)]
        self._trained, self._begun = trained, len(self.forward_passes)
        self.recorded_steps.append(fields)

    # Batches.

    def _labels_of_loader(self, ids: torch.Tensor) -> torch.Tensor | None:
        """Returns the labels of the last DataLoader batch, if the texts are those of that batch."""
        batch = self._loader_batch or {}
        own, labels = batch.get("input_ids"), batch.get("labels")
        if not isinstance(own, torch.Tensor) or not isinstance(labels, torch.Tensor):
            return None
        return labels if own.shape == labels.shape == ids.shape and torch.equal(own.cpu(), ids.cpu()) else None

    def _record_target(self, target: torch.Tensor) -> None:
        """Records labels that only the loss function receives."""
        if self._pending is None:
            return
        ids, unpadded, division = self._pending
        self._pending = None
        count, length = ids.shape
        if target.numel() == count * (length - 1):
            target = torch.cat([torch.full((count, 1), IGNORE_INDEX), target.reshape(count, length - 1)], dim=1)
        elif target.numel() != count * length:
            return
        self.forward_passes.pop()
        target = target.reshape(count, length)
        if torch.equal(target[:, :-1][unpadded[:, 1:]], ids[:, 1:][unpadded[:, 1:]]):
            target = torch.cat([torch.full((count, 1), IGNORE_INDEX), target[:, :-1]], dim=1)  # shifted by the caller
        self._record_batch(ids, unpadded, target, division)

    def _record_batch(
        self, ids: torch.Tensor, unpadded: torch.Tensor, labels: torch.Tensor, division: Division
    ) -> None:
        """Records the texts of a batch; a packed row as its examples, grouped if attention crosses them."""
        rows: list[Any] = []
        for row, own, row_labels, all_parts, positions in zip(
            ids, unpadded, labels, division.parts, division.positions, strict=False
        ):
            self._labelled_padding += int(((row_labels != IGNORE_INDEX) & ~own).sum())
            text, target = row[own].tolist(), row_labels[own].tolist()
            parts = without_padding(all_parts, target)
            indices = [self._index(text[begin:end], target[begin:end]) for begin, end in parts]
            if len(parts) == 1 or not division.crossing:
                rows += indices
            else:
                rows.append({"examples": indices, "position_ids": positions[: parts[-1][1]]})
        self.forward_passes.append((rows, None))

    def _index(self, ids: list[int], labels: list[int]) -> int:
        """Returns a text's index in `examples`, after adding it if it is new."""
        example = (tuple(ids), tuple(labels))
        if example not in self._indices:
            self._indices[example] = len(self.examples)
            self.examples.append(example)
        return self._indices[example]

    # The result of training.

    def snapshot(self) -> None:
        """Copies the current adapter, unless it was neither stepped nor restored since the last copy."""
        if self._states and not self._has_moved:
            return
        self._has_moved = False
        model = self._peft_models[-1] if self._peft_models else self._model
        if model is None or not getattr(model, "peft_config", None):
            return
        name = getattr(model, "active_adapter", "default")
        name = name() if callable(name) else name
        name = name[0] if isinstance(name, list) else name
        try:
            active = active_adapters(model)
            states = {each: self._read_adapter(model, each) for each in dict.fromkeys((name, *active))}
        except Exception:  # noqa: BLE001  # an unsupported adapter
            return
        configs = {each: copy.deepcopy(model.peft_config[each]) for each in states}  # may be edited before saving
        self._changed = changed_base_weights(model, self.base_weights)
        self._states, self._configs, self._active = states, configs, active

    def _read_adapter(self, model: Any, name: str) -> dict[str, torch.Tensor]:
        """Returns one adapter's tensors by their names in a saved adapter, without name parts of torch's wrappers."""
        with torch.no_grad():
            state = self._get_state(model, adapter_name=name, save_embedding_layers=False)
        return {
            "base_model.model." + unwrapped(key).removeprefix("base_model.model."): tensor.cpu().clone()
            for key, tensor in state.items()
        }

    def finish(self) -> None:
        """Writes all results."""
        self.snapshot()
        self._close_step()
        if self._step is not None:
            self._step.remove_hooks()
        self.writer.write("training_steps", steps=self.recorded_steps)
        if self._first_losses is not None:
            self.writer.tensors("first_losses", {"losses": self._first_losses})
        if self._states:
            for number, (name, state) in enumerate(self._states.items()):
                folder = f"trained_{number}" if number else "trained"
                (self.writer.folder / folder).mkdir(parents=True, exist_ok=True)
                self._configs[name].save_pretrained(str(self.writer.folder / folder))
                self.writer.tensors(f"{folder}/adapter_model", state)
        elif self._stepped_model is not None:
            self._changed = changed_base_weights(self._stepped_model, self.base_weights)
            self._write_logits()
        if self._model is not None:
            self.writer.tensors("added_token_rows", added_rows(self._model, self.vocab_size))
        self._write_log()

    def _write_logits(self) -> None:
        """Writes the trained model's logits of the first texts: evidence for an adapter that is not peft's."""
        model, rows = self._stepped_model, [ids for ids, _ in self.examples] or list(self._unlabelled)
        training = model.training
        model.eval()
        try:
            [logits] = compute_logits(model, choose_rows(rows, model.config.vocab_size))
        except Exception:  # noqa: BLE001  # the forward takes other arguments
            return
        finally:
            model.train(training)
        self.writer.tensors("trained_logits", {"logits": logits})

    def _write_log(self) -> None:
        self.writer.write(
            "training_log",
            examples=self.examples or [(ids, ids) for ids in self._unlabelled],
            has_labels=bool(self.examples),
            forward_passes=self.forward_passes,
            optimizer_steps=self.optimizer_steps,
            labelled_padding=self._labelled_padding,
            optimizer=self._optimizer,
            dtype_counts=self._dtype_counts,
            changed_base_weights=self._changed,
            shortened=self._shortened,
            active_adapters=self._active,
            other_adapters=[*self._states][1:],
            models=self._models,
            first_pass=self._first_pass,
        )
