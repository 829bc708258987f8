"""The command line tool `da3`: one file for each command."""
