"""The program of `--system-command`: a system that answers lines with lines."""
