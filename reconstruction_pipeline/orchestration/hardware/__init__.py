"""Where steps run: cards and cores of this machine, and containers with or without a GPU."""
