"""Trained networks for other programs: ONNX and BioImage.IO."""
