"""Jobs that are done later."""
