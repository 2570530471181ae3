"""What passes the library's boundaries in training: texts and labels, rates, and the adapter as it is at the end."""

import copy
import functools

import torch

from .logits import choose_rows, compute_logits
from .packing import Reach, divide
from .padding import IGNORED
from .results import count_dtypes
from .weights import active_adapters, added_rows

_FEW = 20


class TrainingRecorder:
    """Follows a training.

    Attributes:
        rows: every text that reached the model with its labels, each once, padding removed: (ids, labels). Where no
            boundary tells the labels, they are the ids, and `labelled` is told to be false.
        passes: a forward each: indices of its rows, its loss (None where the model was not asked for one). In place of
            an index, `texts` and `positions` stand for a packed row whose examples attend to one another.
        steps: an optimizer step each: its rate, how many passes came before it, and the betas of Adam.
    """

    def __init__(self, base_weights, vocabulary, seconds, clock):
        self.vocabulary, self.active = vocabulary, []
        self.seconds, self.clock, self.deaf = seconds, clock, False
        self.rows, self._known, self.passes, self.steps = [], {}, [], []
        self.padding_labelled = 0
        self.optimizer = {}
        self.counted = {}
        self.left = None
        self.shortened = None
        self._changed_there = []
        self._stepped_model = None
        self._dirty = False
        self._labels = None
        self._pending = None
        self._served = None
        self._bare = {}
        self._reach = Reach()
        self._model = None
        self._peft = []
        self._base_weights = base_weights

    def install(self, writer):
        """Hooks at Trainer, cross entropy, optimizers, PeftModel and saving; `heard` is for the model's forward."""
        import peft
        import transformers
        from torch.optim.optimizer import register_optimizer_step_post_hook

        recorder = self
        self._writer = writer
        self._state_of = peft.get_peft_model_state_dict
        start, step, made, save = (
            transformers.Trainer.train,
            transformers.Trainer.training_step,
            peft.PeftModel.__init__,
            peft.PeftModel.save_pretrained,
        )

        @functools.wraps(start)
        def train(self, *args, **kwargs):
            from .time_limit import shorten

            recorder.deaf = True
            recorder.shortened = shorten(self, recorder.seconds, writer.note)
            recorder.deaf = False
            result = start(self, *args, **kwargs)
            recorder.look()
            return result

        @functools.wraps(step)
        def training_step(self, model, inputs, *args, **kwargs):
            labels = inputs.get("labels") if hasattr(inputs, "get") else None
            recorder._labels = labels.detach().cpu() if isinstance(labels, torch.Tensor) else None
            try:
                return step(self, model, inputs, *args, **kwargs)
            finally:
                recorder._labels = None

        @functools.wraps(made)
        def init(self, *args, **kwargs):
            made(self, *args, **kwargs)
            recorder._peft.append(self)

        @functools.wraps(save)
        def save_pretrained(self, *args, **kwargs):
            recorder.look()
            return save(self, *args, **kwargs)

        transformers.Trainer.train = train
        transformers.Trainer.training_step = training_step
        peft.PeftModel.__init__ = init
        peft.PeftModel.save_pretrained = save_pretrained
        register_optimizer_step_post_hook(self._stepped)
        self._listen_to_restoring()
        serve = torch.utils.data.DataLoader.__iter__

        def serving(self):
            for batch in serve(self):
                recorder._served = dict(batch) if hasattr(batch, "keys") else None
                yield batch

        torch.utils.data.DataLoader.__iter__ = serving
        entropy = torch.nn.functional.cross_entropy

        @functools.wraps(entropy)
        def cross_entropy(input, target, *args, **kwargs):  # noqa: A002
            if recorder._pending is not None and target.dtype == torch.long:
                recorder._take(target.detach().cpu())
            return entropy(input, target, *args, **kwargs)

        torch.nn.functional.cross_entropy = cross_entropy

    def _listen_to_restoring(self):
        """Marks an adapter that is put back, the best of several, say, as another than was last seen."""
        recorder = self
        restore = torch.nn.Module.load_state_dict

        @functools.wraps(restore)
        def load_state_dict(self, *args, **kwargs):
            result = restore(self, *args, **kwargs)
            if any(each is recorder._model for each in self.modules()):
                recorder._dirty = True
            return result

        torch.nn.Module.load_state_dict = load_state_dict

    def _stepped(self, optimizer, *args):
        if self.clock.stopped:  # a step that does nothing
            return
        self._stepped_model = self._model
        group = optimizer.param_groups[0]
        betas = group.get("betas")  # a schedule may change them from step to step
        self.steps.append((float(group["lr"]), len(self.passes), [float(each) for each in betas] if betas else None))
        self.optimizer = {
            "name": type(optimizer).__name__,
            "weight_decay": float(group.get("weight_decay") or 0.0),
            "tensors": sum(len(each["params"]) for each in optimizer.param_groups),
        }
        self._dirty = True
        if len(self.steps) == _FEW:  # known even if it never comes to its end
            self._write(self._writer)

    def labels_of(self, ids, given):
        """Labels of a batch: those passed to the model, or that Trainer or a DataLoader gave with it; else None."""
        labels = given.get("labels")
        if labels is None:
            labels = self._labels if self._labels is not None and self._labels.shape == ids.shape else None
        return self._served_with(ids) if labels is None else labels

    def before(self, forward, model, given, labels):
        """A forward in training begins."""
        if self._model is None:
            self.counted = count_dtypes(model)
        self._model = model
        self._pending = None
        ids, mask = given["input_ids"].detach().cpu(), given.get("attention_mask")
        flat = mask is not None and mask.dim() == ids.dim()
        kept = mask.detach().cpu().bool() if flat else torch.ones_like(ids, dtype=torch.bool)
        division = divide(ids, kept, given)
        if division.is_packed:
            division.crossing = self._reach.crosses(forward, given, kept, division)
        if labels is None:  # the loss function may tell
            self._pending = (ids, kept, division)
            self._bare.update({tuple(row[own].tolist()): None for row, own in zip(ids, kept)})
            self.passes.append(([], None))
            return
        self._note(ids, kept, labels.detach().cpu(), division)

    def _served_with(self, ids):
        """Labels of the batch that a DataLoader gave last, if these are its texts."""
        batch = self._served
        if batch is None or "labels" not in batch or "input_ids" not in batch:
            return None
        own, labels = batch["input_ids"], batch["labels"]
        same = isinstance(own, torch.Tensor) and isinstance(labels, torch.Tensor) and own.shape == ids.shape
        return labels if same and labels.shape == own.shape and torch.equal(own.cpu(), ids.cpu()) else None

    def _note(self, ids, kept, labels, division):
        """Writes down the texts of a batch; a packed row as its examples, together where attention crosses them."""
        rows = []
        for row, own, due, all_parts, positions in zip(ids, kept, labels, division.parts, division.positions):
            self.padding_labelled += int(((due != IGNORED) & ~own).sum())
            text, target = row[own].tolist(), due[own].tolist()
            parts = _without_padding(all_parts, target)
            indices = [self._index(text[begin:end], target[begin:end]) for begin, end in parts]
            if len(parts) == 1 or not division.crossing:
                rows += indices
            else:
                rows.append({"examples": indices, "position_ids": positions[: parts[-1][1]]})
        self.passes.append((rows, None))

    def _index(self, ids, labels):
        """Of a text in `rows`, which it is added to where it is new."""
        key = (tuple(ids), tuple(labels))
        if key not in self._known:
            self._known[key] = len(self.rows)
            self.rows.append(key)
        return self._known[key]

    def _take(self, target):
        """Labels that only the loss function sees."""
        ids, kept, division = self._pending
        self._pending = None
        count, length = ids.shape
        if target.numel() == count * (length - 1):
            target = torch.cat([torch.full((count, 1), IGNORED), target.reshape(count, length - 1)], dim=1)
        elif target.numel() != count * length:
            return
        self.passes.pop()
        target = target.reshape(count, length)
        if torch.equal(target[:, :-1][kept[:, 1:]], ids[:, 1:][kept[:, 1:]]):
            target = torch.cat([torch.full((count, 1), IGNORED), target[:, :-1]], dim=1)  # shifted by the caller
        self._note(ids, kept, target, division)

    def after(self, loss):
        """Its loss is known."""
        if loss is not None:
            value = float(loss.detach())
            self.passes[-1] = (self.passes[-1][0], value)

    def look(self):
        """The adapter as it is now, unless it was neither stepped nor restored since the last look."""
        if self.left is not None and not self._dirty:
            return
        self._dirty = False
        holder = self._peft[-1] if self._peft else self._model
        if holder is None or not getattr(holder, "peft_config", None):
            return
        name = getattr(holder, "active_adapter", "default")
        name = name() if callable(name) else name
        name = name[0] if isinstance(name, list) else name
        try:
            active = active_adapters(holder)
            states = {each: self._read(holder, each) for each in dict.fromkeys((name, *active))}
        except Exception:  # an adapter of another kind
            return
        configs = {
            each: copy.deepcopy(holder.peft_config[each]) for each in states
        }  # which may be edited before saving
        self.left = {"states": states, "configs": configs, "changed": self._changed(holder)}
        self.active = active

    def _read(self, holder, name):
        """The tensors of one adapter by the names that a saved one has, without what torch.compile adds to them."""
        with torch.no_grad():
            state = self._state_of(holder, adapter_name=name, save_embedding_layers=False)
        return {
            "base_model.model." + key.removeprefix("base_model.model.").replace("_orig_mod.", ""): tensor.cpu().clone()
            for key, tensor in state.items()
        }

    def _changed(self, holder):
        """Parameters of the base that training moved, by their names there."""
        changed = []
        for name, tensor in holder.named_parameters():
            if "lora_" in name or "modules_to_save" in name:
                continue
            plain = name.replace("base_model.model.", "", 1).replace(".base_layer", "").replace(".original_module", "")
            plain = plain.replace(".default", "").replace("_orig_mod.", "")
            own = self._base_weights.get(plain)
            if own is None or own.shape != tensor.shape:
                continue
            if not torch.equal(own.to(tensor.dtype), tensor.detach().cpu()):
                changed.append(plain)
        return changed

    def tell(self, writer):
        """All of it."""
        self.look()
        if self.left is not None:
            self._changed_there = self.left["changed"]
            for number, (name, state) in enumerate(self.left["states"].items()):
                place = f"trained_{number}" if number else "trained"
                (writer.folder / place).mkdir(parents=True, exist_ok=True)
                self.left["configs"][name].save_pretrained(str(writer.folder / place))
                writer.tensors(f"{place}/adapter_model", state)
        elif self._stepped_model is not None:
            self._changed_there = self._changed(self._stepped_model)
            self._tell_of_own_kind(writer)
        if self._model is not None:
            writer.tensors("added_token_rows", added_rows(self._model, self.vocabulary))
        self._write(writer)

    def _tell_of_own_kind(self, writer):
        """Logits of the first texts by the model as training left it: what tells of an adapter that is not peft's."""
        model, rows = self._stepped_model, [ids for ids, _ in self.rows] or list(self._bare)
        training = model.training
        model.eval()
        try:
            [logits] = compute_logits(model, choose_rows(rows, model.config.vocab_size))
        except Exception:  # a model whose forward takes something else
            return
        finally:
            model.train(training)
        writer.tensors("trained_logits", {"logits": logits})

    def _write(self, writer):
        writer.write(
            "training_log",
            examples=self.rows or [(ids, ids) for ids in self._bare],
            forward_passes=self.passes,
            optimizer_steps=self.steps,
            labelled_padding=self.padding_labelled,
            has_labels=bool(self.rows),
            optimizer=self.optimizer,
            dtype_counts=self.counted,
            changed_base_weights=self._changed_there,
            shortened=self.shortened,
            has_adapter=self.left is not None,
            active_adapters=self.active,
            other_adapters=[*self.left["states"]][1:] if self.left else [],
        )


def _without_padding(parts, labels):
    """Parts of a row without single tokens at its end that carry no label: padding that no mask tells."""
    parts = list(parts)
    while len(parts) > 1 and parts[-1][1] - parts[-1][0] == 1 and labels[parts[-1][0]] == IGNORED:
        parts.pop()
    return parts
