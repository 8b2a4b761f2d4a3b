"""From ``dist/`` to S3 to a stack: knows files and an AWS client, no templates."""
