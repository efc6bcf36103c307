"""What commands print, and where a report is written."""
