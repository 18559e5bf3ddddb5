"""Batch jobs: what really computes a pipeline job. An engine takes an app's job and reports its statuses to URLs."""
