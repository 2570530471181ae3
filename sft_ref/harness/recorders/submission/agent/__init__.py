"""What runs in a submission's process: with its libraries, without sft_ref, in the syntax of Python 3.10.

It patches libraries. Each patch, why it is there, what it could hide, and how that is excluded:

===========================  ========================  ==============================  ===============================
patch                        why                       could hide                      excluded by
===========================  ========================  ==============================  ===============================
a seed for each verb         a grading can be          random numbers that training    training and answering have
                             repeated                  drew and did not save           different seeds
CUDA is the CPU              the submission's CUDA     tensors on two devices; memory  not excluded: a note says that
                             branch runs               of the GPU                      it ran on the CPU
float16 autocast runs in     ten times as slow, or     overflow of float16 in          not excluded: a note; float16
bfloat16; no fp16, tf32 of   refused, without CUDA     training                        weights stay float16
Trainer
no quantization, flash       packages that need CUDA   faults of these packages        not excluded: a note
attention, 8-bit optimizer
torch.compile is eager       no compiler in the        names of a compiled module's    it is wrapped as usual:
                             sandbox                   weights                         `_orig_mod.` shows
empty modules for logging    they change no answer     a loop over a stand-in that     a stand-in gives what it wraps;
                                                       gives nothing                   what trains (lightning) counts
                                                                                       as missing
arguments of transformers    written for another       that it does not run under      a note for each name
renamed or dropped           version                   this one
no loader workers, hub       few processes, no         what cannot be pickled          not excluded: no answer depends
pushes, reports, caches,     network                                                   on it
downloads
fewer steps; a clock         the time of a grading     slow settings, late             a note with both numbers;
                                                       checkpoints                     TRN-103 replays the very steps;
                                                                                       `find_checkpoint`
dead columns are cut         speed                     padding that changes the        cut only where masked and
                                                       result                          without label in all rows,
                                                                                       positions kept
training, answers, saving,   evidence                  nothing: arguments and results
restoring are listened to                              pass unchanged
scripts in the model's       whether what is said      a model that says something     scripts run apart from the
mouth                        comes back                else                            answers that count
===========================  ========================  ==============================  ===============================
"""
