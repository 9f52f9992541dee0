"""Many tasks: one after another here, on several processes or on a Ray cluster, with the same results."""
