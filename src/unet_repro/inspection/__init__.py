"""What a data set contains, what may be wrong with it, and the training that suits it."""
