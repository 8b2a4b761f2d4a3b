"""Airflow's own metrics in CloudWatch, as lines of the container's log.

A line in the embedded metric format: CloudWatch Logs makes metrics of it, so a
container needs neither an agent beside it nor a permission. The main process of a
container adds up what it measures and prints once a minute; a process that Airflow
starts for a task or a trigger hands its own metrics over by a pipe.
"""
