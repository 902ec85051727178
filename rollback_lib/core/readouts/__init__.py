"""What only one command says."""
