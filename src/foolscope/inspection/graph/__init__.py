"""The computational graph of a model."""
