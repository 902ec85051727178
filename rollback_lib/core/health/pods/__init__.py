"""What pods tell: whose they are, what became of their containers, and why one does not run."""
