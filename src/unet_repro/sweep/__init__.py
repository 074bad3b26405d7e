"""What a sweep trains, how far it is, and how it is trained."""
