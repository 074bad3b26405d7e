"""One module for each verb of the command line: arguments in, words out, no logic of their own."""
