"""Real servers of the cluster profile, run on this machine: for `make cluster` and for tests."""
