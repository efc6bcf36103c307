"""What uses measurement to decide: ladders, and the search for a winner."""
