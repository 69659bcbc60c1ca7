"""Behind the pipeline: what the caller sees while a job runs and when it is done."""
