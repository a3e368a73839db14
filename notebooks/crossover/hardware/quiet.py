"""What C++ libraries write past Python, held back while all goes well."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

STDERR = 2


@contextmanager
def held_messages() -> Iterator[None]:
    """Hold back what is written to file descriptor 2; show it if the block raises.

    A framework's libraries greet on that descriptor while they load, in a notebook in red, and no
    setting of TensorFlow's silences its own.
    """
    with tempfile.TemporaryFile() as held:
        saved = os.dup(STDERR)
        os.dup2(held.fileno(), STDERR)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(saved, held.read())
            raise
        finally:
            os.dup2(saved, STDERR)
            os.close(saved)
