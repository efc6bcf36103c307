"""Transformations of ONNX graphs, and checks that their answers stay close to fp32."""
