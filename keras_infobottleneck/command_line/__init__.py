"""The command line: one file for each command, and the registration of all commands."""
