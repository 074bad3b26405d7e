"""Prediction of images of any size by overlap-tiles."""
