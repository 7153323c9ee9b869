"""What stands beside the hub's figures: each part by itself, or a peer with the same job."""
