"""The baseline systems and their parts: checkpoints, encoding, models, engines, training and export.

Modules here may load torch, transformers or onnxruntime, but only inside the functions that need them.
"""
