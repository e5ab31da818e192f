"""What a study can be made of: one room each, with the same name here and in :mod:`foolscope.reports.parts`.

Adding a part is one file here, its line in :mod:`foolscope.experiments.parts.table`, and the same in
:mod:`foolscope.reports.parts`. The table is a file of its own, so that who needs one part imports only that.
"""
