"""What is broken and how that is known: findings from workloads, logs, monitoring, tests and requests."""
