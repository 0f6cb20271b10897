"""The outer layer: the command line and the HTTP service.

Both are thin. A command or a route parses what it was given, makes one call into the packages below
and formats the answer. Nothing heavy is imported here or at the top of these modules: `lsr --help`
stays fast, and torch is loaded only by a command that uses a neural encoder.
"""
