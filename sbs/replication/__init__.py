"""The disk: folders read on the primary, staged and applied on the secondary (R20 to R25).

Everything here is synchronous and may be called from any thread, one call at a time per object.
"""
