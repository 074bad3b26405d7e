"""Exports trained networks to BioImage.IO, ONNX, TorchScript, and a page for a browser."""
