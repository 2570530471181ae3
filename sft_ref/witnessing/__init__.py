"""A witness of training: watches any training, leaves a record beside the adapter, and holds a loaded model against it.

`training` observes, `findings` judge, `record` says what was trained, `verifying` compares models, `serving` endpoints.
(`sft_ref.witness` is a function, so the room has another name.)
"""
