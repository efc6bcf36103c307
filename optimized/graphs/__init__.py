"""Transformations of ONNX graphs, and how close to fp32 the outcome is."""
