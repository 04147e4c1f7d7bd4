"""Many runs: what to train, where, and what came of each."""
