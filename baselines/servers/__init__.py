"""Systems behind a URL: clients of model servers, and servers that are started to be measured."""
