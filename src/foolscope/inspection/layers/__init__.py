"""The weights of a model's layers."""
