"""Image files of any kind and size, read by regions and written by blocks."""
