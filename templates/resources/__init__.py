"""Groups of resources that a template or several templates use."""
