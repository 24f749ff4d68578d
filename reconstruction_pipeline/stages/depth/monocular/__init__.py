"""Depth from single pictures by a neural network, in the poses' scale, where several views could not agree."""
