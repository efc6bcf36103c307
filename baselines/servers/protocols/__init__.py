"""The protocols of model servers: how texts become a body, and an answer becomes names of labels."""
