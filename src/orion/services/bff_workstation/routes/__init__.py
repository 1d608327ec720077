"""The REST routes, ten lines each: name the permission, translate, ask the service, translate
back.
"""
