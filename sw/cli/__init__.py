"""The command line: it alone composes all packages."""
