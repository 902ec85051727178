"""What is handed to an administrator: the wheel, the lock that pins it by hash, the wheels of all that it needs."""
