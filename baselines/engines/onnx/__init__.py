"""ONNX Runtime, and the export to ONNX."""
