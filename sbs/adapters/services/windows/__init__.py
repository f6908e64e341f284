"""Services of the Windows service manager: the entry point ``windows`` (R30, R32, B30, B31).

``docs/windows.md`` says what holds there, and what does not. ``win32`` needs pywin32, and with it
``naming``, ``job``, ``manager``, ``adapter`` and ``own_service``; the rest is imported anywhere.
"""
