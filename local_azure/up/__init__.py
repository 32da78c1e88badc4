"""Starts the whole local stand-in as processes, keeps them running, and stops them in order."""
