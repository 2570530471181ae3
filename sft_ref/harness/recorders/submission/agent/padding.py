"""Cuts padding that changes nothing before a forward of training, and gives logits their full width back.

A column is cut where it is masked and carries no label in every row. Positions are kept: behind a cut on the left they
are passed on explicitly. What is left equals the full computation up to rounding.
"""

import torch

IGNORED = -100
_KNOWN = {
    *("input_ids", "attention_mask", "labels", "position_ids", "return_dict", "num_items_in_batch", "use_cache"),
    *("output_attentions", "output_hidden_states"),
}
"""Arguments of a forward that can be cut, or that have no width. With any other one nothing is cut."""
_WIDE = ("input_ids", "attention_mask", "labels", "position_ids")


def trim(given, labels, config, takes_positions=True):
    """The arguments of a forward without dead columns.

    Args:
        given: the arguments by name.
        labels: of the batch, as far as they are known; None where they are not.
        config: of the model.
        takes_positions: whether its forward takes `position_ids`; else nothing is cut on the left.

    Returns:
        The arguments, and how many columns were cut on the left and on the right. Unchanged where nothing can be cut.
    """
    left, right = _dead(given, labels, config)
    if not takes_positions:
        left = 0
    if not left and not right:
        return given, 0, 0
    width = given["input_ids"].shape[1]
    cut = dict(given)
    for name in _WIDE:
        value = given.get(name)
        if isinstance(value, torch.Tensor) and value.shape[-1:] == (width,):
            cut[name] = value[..., left : width - right]
    if left and given.get("position_ids") is None:
        cut["position_ids"] = torch.arange(left, width - right, device=given["input_ids"].device)[None]
    return cut, left, right


def widen(output, left, right):
    """The output with zeros for the logits of columns that were cut."""
    logits = getattr(output, "logits", None)
    if (left or right) and isinstance(logits, torch.Tensor):
        output.logits = torch.nn.functional.pad(logits, (0, 0, left, right))
    return output


def _dead(given, labels, config):
    ids, mask = given.get("input_ids"), given.get("attention_mask")
    if not isinstance(ids, torch.Tensor) or not isinstance(mask, torch.Tensor) or labels is None:
        return 0, 0
    if ids.dim() != 2 or not ids.shape == mask.shape == labels.shape:  # noqa: PLR2004
        return 0, 0
    if any(value is not None and name not in _KNOWN for name, value in given.items()):
        return 0, 0
    if given.get("return_dict") is False or any(
        given.get(name) or getattr(config, name, False) for name in ("output_attentions", "output_hidden_states")
    ):
        return 0, 0
    kept, labelled = mask.bool(), labels.to(mask.device) != IGNORED
    alive = (kept | labelled).any(0).nonzero()[:, 0].tolist()
    if not alive:
        return 0, 0
    left, right = alive[0], ids.shape[1] - 1 - alive[-1]
    # a label behind padding is predicted from the padding, whose output may depend on its width
    if left and bool((labelled[:, 1:] & kept[:, 1:] & ~kept[:, :-1]).any()):
        left = 0
    return left, right
