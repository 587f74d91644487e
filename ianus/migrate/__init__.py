"""`ianus migrate`: turns a configuration of another server into the equivalent ianus.toml.

`command` finds the server in a file or a command line. Each server has a module with its own options, and the answer to
those that differ from the table of settings. `migration` collects the result, and `toml_page` writes it.
"""
