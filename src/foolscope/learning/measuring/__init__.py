"""Measuring packs: predictions and losses on a split, thresholds, accuracy under attack."""
