"""Early exit: answer after the first layer whose exit head is confident enough."""
