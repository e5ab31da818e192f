"""How trials come to be: the store, packs, runs, executors."""
