"""The command line as people and scripts meet it: exit codes, output, help, and what it never does."""
