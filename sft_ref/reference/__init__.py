"""Supervised fine-tuning with LoRA, to be read in one sitting, in this order.

1. ``prompt``: question to prompt, number to target, completion to number.
2. ``data``: the rows, and when an answer is right.
3. ``tokens``: texts to token ids, labels and batches.
4. ``loss``: the cross entropy of the supervised tokens.
5. ``settings``: the hyperparameters.
6. ``precision/policy``: the dtypes of weights, adapter and compute.
7. ``models``: a base in memory, and computing in a precision.
8. ``adapter``: LoRA added, saved, loaded.
9. ``training``: the loop.
10. ``base_llm``: prompts to completions to answers.
11. ``record``: what was trained, written beside the adapter.
12. ``sft``: train, load, test.

The rest is looked up when needed: ``questions``, ``fingerprints``, ``texts/`` for answers that are texts, ``bases/``
from names to folders, ``fast/`` for speed only, ``guards/`` against foreign files, full disks, signals, global state.
"""
