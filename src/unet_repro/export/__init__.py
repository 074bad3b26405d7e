"""Exports trained networks to ONNX and BioImage.IO."""
