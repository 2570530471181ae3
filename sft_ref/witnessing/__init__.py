"""Observes any training, writes a record beside the adapter, and compares loaded models and endpoints with the record.

`training` observes, `findings` judges the observations, `record` defines the record, `verifying` compares models, and
`serving` compares endpoints. (The package is not called `witness` because `sft_ref.witness` is a function.)
"""
