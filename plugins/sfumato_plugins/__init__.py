"""The methods that come with Sfumato, one module each. They do not know one another.

How to write one: `README.md` in the folder above.
"""
