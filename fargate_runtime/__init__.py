"""What runs inside the Fargate tasks, beside Airflow.

Published as a zip archive that every container fetches and checks at its start
(``bootstrap``), and as the code of the function behind the migration job
(``gate``). It imports nothing of the rest of the project, and only what the
stock image has; ``gate`` only what Lambda has.
"""
