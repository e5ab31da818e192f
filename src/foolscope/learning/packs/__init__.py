"""How the trials of a pack become one program: traced modules, packed layers, stacked tensors."""
