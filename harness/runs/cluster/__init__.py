"""One command on many hosts: an engine places, starts and collects, and each host runs whole `bench run`s.

    driver: points of a sweep --dispatch--> hosts, one measurement at a time on each      `dispatch.py`
    host:   point --`bench run`--> a store of its own, with its journal --sealed files-->  `point.py`
    driver: sealed files --hashes checked--> the store of the user                        `collect.py`

    driver: trainings --tasks--> whichever host is free, not exclusive                     `ray_tasks.py`
    host:   training --`bench train`, `bench prepare`--> files                             `training.py`

Interleaving, pinning, clock, meters and journal never leave a host. Ray is known to `ray_hosts.py` and
`ray_tasks.py` alone.
"""
