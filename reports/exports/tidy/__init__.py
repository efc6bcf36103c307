"""A report as rows of figures: as CSV, and as rows of the store's index, which a report on many runs reads.

Report --tidy_csv--> CSV          Report --index_rows--> rows of the index --indexed_csv--> CSV
"""
