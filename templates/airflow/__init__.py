"""Airflow's components: environment variables, permissions, task definitions, pools."""
