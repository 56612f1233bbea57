"""Measures the facts of a model file that does not state them: anyone else's ONNX export."""
