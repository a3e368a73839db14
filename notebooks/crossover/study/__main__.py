"""``python -m crossover.study VERB``: ends without a traceback even while it imports."""

import signal
import sys

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Nothing has begun that would need clearing up.

from crossover.study.run import main

sys.exit(main(sys.argv[1:]))
