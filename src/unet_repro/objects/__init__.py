"""Numbered objects measured and written for other programs: tables, QuPath, Fiji, pictures."""
