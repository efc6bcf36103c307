"""What commands print, and where a report goes."""
