#!/bin/bash
# import.sh IMAGE.tar...: brings images (docker-archive or OCI archive files) into the running cluster.
source "$(dirname "$0")/../parts/lib.sh"
source "$HERE/parts/containerd.sh"
import_images "$@"
