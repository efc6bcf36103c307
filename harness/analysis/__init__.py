"""Records become numbers and numbers become verdicts; no hardware is touched."""
