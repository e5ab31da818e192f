"""The part ``[[corruptions]]`` of a study: accuracy on corrupted test images."""
