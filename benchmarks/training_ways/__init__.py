"""The ways of training that benchmarks/training.py compares."""
