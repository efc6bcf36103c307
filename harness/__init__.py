"""The harness measures. It knows no model and loads none of the libraries that models need.

The folders spell what a run is: `tasks` and `data` say what is asked, `catalog` names who may answer,
`sweep` arranges the rounds, `loop` times them, `meters` read energy, `record` and `store` keep what was
seen, `estimate` and `compare` judge it, `cli` talks to people.
"""
