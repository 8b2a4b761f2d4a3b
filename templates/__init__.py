"""The infrastructure, one page a stack. Nothing here calls AWS."""
