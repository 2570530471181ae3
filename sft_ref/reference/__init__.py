"""Supervised fine-tuning with LoRA, to be read in one sitting, in this order.

1. ``prompt``: question to prompt, number to target, completion to number.
2. ``data``: the rows, and when an answer is right.
3. ``tokens``: texts to token ids, labels and batches.
4. ``loss``: the cross entropy of the supervised tokens.
5. ``settings``: the hyperparameters.
6. ``precision/policy``: the dtypes of weights, adapter and compute.
7. ``models``: loading a base, and computing in a precision.
8. ``adapter``: adding, saving and loading LoRA.
9. ``training``: the loop.
10. ``base_llm``: prompts to completions to answers.
11. ``record``: the record of a training, written next to the adapter.
12. ``sft``: train, load, test.

Look up the rest when needed: ``questions``, ``fingerprints``, ``texts/`` for answers that are texts, ``bases/`` for
finding base models, ``fast/`` for speed only, ``guards/`` against foreign files, full disks, signals, global state.
"""
