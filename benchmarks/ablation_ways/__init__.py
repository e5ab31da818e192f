"""The ways to train an ablation's trials that ``benchmarks/ablation.py`` measures, each in its own file."""
