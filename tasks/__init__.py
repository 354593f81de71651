"""The role: one file a capability, read in the order in which deploy.py calls them."""
