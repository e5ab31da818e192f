"""The ways to attack a model that ``benchmarks/attack.py`` measures, and who counts and judges."""
