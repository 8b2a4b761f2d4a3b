"""Code that runs inside the Fargate tasks, beside Airflow.

Published as a zip archive that every container fetches and checks at its start
(``bootstrap``), and as the code of the function behind the migration custom resource
(``migration.custom_resource``). It imports nothing of the rest of the project, and only
what the stock image has; the function only what Lambda has. Of its modules, the rest of
the project imports ``contract`` alone; the simulation also runs the ``autoscaler``.
"""
