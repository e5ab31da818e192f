"""The same augmentations in three ways."""
