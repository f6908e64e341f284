"""The application's services: who starts, watches and stops them, and whether that is allowed."""
