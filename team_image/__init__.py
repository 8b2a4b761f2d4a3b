"""The container image of a team: Airflow's own, with packages and plugins added."""
