"""One module for each verb of the command line: parses arguments and prints results; no other logic."""
