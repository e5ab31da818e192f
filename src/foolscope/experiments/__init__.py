"""Layer 5: recipes, the store, packs of trials, ablations, statistics, claims and studies."""
