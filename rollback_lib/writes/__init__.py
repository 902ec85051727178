"""What stages do through the writer, where more than one of them does it or it takes more than a few lines."""
