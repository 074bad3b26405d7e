"""From files to batches: sources, splits, tiles, weight maps, augmentation."""
