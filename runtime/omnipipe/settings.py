"""Environment variables that processes read, in one place; parsed once by the command line and passed down."""
