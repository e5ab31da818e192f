"""Running recipes: the store of trials, packs, executors."""
