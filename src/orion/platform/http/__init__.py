"""HTTP machinery: the guard around every request, problem documents, security headers, static
files.
"""
