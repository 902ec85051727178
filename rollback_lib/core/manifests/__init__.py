"""From bytes of a release's files to objects, with kubectl's meaning, and back without touching anything else."""
