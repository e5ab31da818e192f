"""Layer 4: prototype trees, their nodes as pictures and the paths of images through them."""
