"""The network, its pretrained weights, and the bundle that keeps a whole detector."""
