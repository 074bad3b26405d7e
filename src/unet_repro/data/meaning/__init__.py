"""What the stored values of a set of label images mean: masks, instance numbers or classes, and ignored pixels."""
