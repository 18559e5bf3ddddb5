"""Reactors: the built-in ones of the PipelineJobs system, the rules they share, and the SDK for images that run as actors."""
