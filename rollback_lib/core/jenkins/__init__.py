"""Jenkins: the job, what a server answers, and what the page of a build says."""
