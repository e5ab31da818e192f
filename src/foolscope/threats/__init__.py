"""Layer 2: what an attacker may do: norms, budgets, bounds."""
