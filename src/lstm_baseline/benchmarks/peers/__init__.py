"""One file a peer: our weights in its own layout, and each case as it does it best."""
