"""The systems everybody is compared with, and the plain parts they are made of.

Encoders and their heads, fine-tuning, export, and one adapter per engine. Everything here may load torch,
transformers or onnxruntime, but only inside the function that needs it.
"""
