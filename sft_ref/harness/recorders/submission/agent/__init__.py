"""Code that runs in a submission's process, with its libraries and without sft_ref, in the syntax of Python 3.10.

`patches` lists the patches of libraries, with reasons. Faults that a patch could hide, and how that is excluded:

===========================  ==============================  =====================================================
patch                        could hide                      excluded by
===========================  ==============================  =====================================================
a seed for each command      random numbers that training    training and answering have different seeds
                             drew and did not save
CUDA is the CPU              tensors on two devices; memory  not excluded: a note says that it ran on the CPU
                             of the GPU
float16 autocast runs in     overflow of float16 in          not excluded: a note; float16 weights stay float16
bfloat16; no fp16, tf32 of   training
Trainer
no quantization, flash       faults of these packages        not excluded: a note
attention, 8-bit optimizer
torch.compile is eager       names of a compiled module's    it is wrapped as usual: `_orig_mod.` shows
                             weights
stubs of optional modules    a loop over a stub that yields  a stub yields what it wraps; modules that train
                             nothing                         (lightning) count as missing
arguments of transformers    failures under this version     a note for each name
renamed or dropped
no worker processes, hub     objects that cannot be pickled  not excluded: no answer depends on them
pushes, reports, caches,
downloads
fewer steps; a time limit    slow settings, late             a note with both numbers; TRN-103 replays the exact
                             checkpoints                     steps; `find_checkpoint`
padding is cut               padding that changes the        cut only where masked and without label in all rows,
                             result                          positions kept
training, answers, saving,   nothing: arguments and results
restoring are recorded       pass unchanged
scripted answers             a model that generates          scripts run apart from the answers that count
                             something else
===========================  ==============================  =====================================================
"""
