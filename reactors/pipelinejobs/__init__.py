"""The rules of the PipelineJobs system, without any input or output: identifiers, states, paths, documents, filters."""
