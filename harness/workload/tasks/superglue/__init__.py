"""SuperGLUE's tasks, one file each."""
