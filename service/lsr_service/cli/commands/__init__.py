"""The verbs of the command line, one file each: parse, call, format."""
