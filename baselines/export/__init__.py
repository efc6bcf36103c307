"""What an exported folder holds beside the model: the serving script, copied as it is, and its pages."""
