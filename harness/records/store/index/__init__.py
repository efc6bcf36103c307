"""The index of a store: a SQLite file that is made from the sealed files, and can be made again.

    sealed records --rows--> tables --views--> runs, cells, figures, hosts, software, unreadable
                    `rows.py`       `schema.py`       --read only--> `query.py`
    folders that changed since they were read --> read again, in one transaction each   `refresh.py`

SQLite, and not DuckDB over Parquet: it comes with Python, one file holds everything, a transaction survives
`kill -9`, and readers such as Grafana open it while a run writes.
"""
