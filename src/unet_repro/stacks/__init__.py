"""Image files in many formats and of any size, read by regions and written by blocks."""
