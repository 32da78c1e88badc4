"""A local Azure Functions host: listeners and an HTTP front end here, the unchanged app in worker processes."""
