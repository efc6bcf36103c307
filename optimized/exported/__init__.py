"""Which variants can be exported, and the files of their engines."""
