"""Programs end with this process, however it ends: a shell stands beside each and looks after it."""

import os


def guarded_script(clean_up: str) -> str:
    """Shell commands that become the program "$@", with the shell's process id.

    A child of the shell waits for the end of the program or of this process, even a violent one. It then ends the program,
    if it still runs, and does ``clean_up``, a shell command.
    """
    return f"""
(
    while kill -0 {os.getpid()} && kill -0 $$; do sleep 0.5; done
    kill $$ && sleep 1
    kill -KILL $$
    {clean_up}
) </dev/null >/dev/null 2>&1 &
exec "$@"
"""
