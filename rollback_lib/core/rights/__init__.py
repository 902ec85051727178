"""What a rollback has to be allowed to do."""
