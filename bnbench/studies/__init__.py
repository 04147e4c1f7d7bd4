"""Studies: published claims as files, and the rules that judge them."""
