"""What stages and operations ask alike: what a release holds, and which one runs now."""
