"""One file a peer: our weights in its own layout, and each case in that peer's fastest way."""
