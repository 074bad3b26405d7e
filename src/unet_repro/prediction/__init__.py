"""The kind and the files of a prediction."""
