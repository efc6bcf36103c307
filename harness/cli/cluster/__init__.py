"""Commands with `--cluster`: what is sent to the hosts, and what is made of their answers.

run, ladder   whole commands on hosts, and one report on all of them   `runs.py`
search        trainings on free hosts, then a whole search on each     `search.py`
train         trainings on free hosts                                  `training.py`
"""
