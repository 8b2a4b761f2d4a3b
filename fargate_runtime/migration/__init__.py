"""Migration job and the custom resource that runs it."""
