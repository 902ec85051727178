"""rollback.yaml: what a team says once about its application, read strictly."""
