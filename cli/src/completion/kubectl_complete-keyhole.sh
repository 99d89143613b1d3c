#!/bin/sh
# kubectl runs this file, kubectl_complete-keyhole, to complete `kubectl keyhole`. Put it into a folder of PATH and make it
# executable.
exec kubectl-keyhole __complete "$@"
