"""External stages: poses, training, meshing or compression by a program that is not ours.

A descriptor file says what the program reads and writes, how it is called and what its licence allows (`descriptor`,
`loading`, `checks`); `run` runs it in a process or a container, under a supervisor, watches it and keeps what it
prints. The stages read what it left with their own readers and judge it by their own gates. Nothing here knows Dagster.

Nothing is imported here, so that the supervisor starts fast.
"""
