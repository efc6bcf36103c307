"""Files of a user: texts and labels of a task of their own, and pairs for intermediate training."""
