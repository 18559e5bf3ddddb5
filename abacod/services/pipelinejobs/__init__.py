"""The PipelineJobs system: the use-cases of pipelines, jobs and files, and what built-in reactors reach of the daemon."""
