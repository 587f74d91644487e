"""Finding an application and its interface."""
