"""The stages in order, the one loop that runs them, and all that goes on around it."""
