# make: the list of targets. Nothing here needs more than Debian, Rust, Go, Python and, for clusters, packages and file systems, root.
.PHONY: help demo test check bench scale fuzz soak images install cluster-up cluster-down
BED := tests/cluster/bed

# A cluster that you name on the command line is used instead of the test bed's own. A KUBECONFIG that merely stands in the
# environment is not: these targets create and delete things.
ifeq ($(origin KUBECONFIG),command line)
export KEYHOLE_KUBECONFIG := $(abspath $(KUBECONFIG))
endif

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: ## the whole story on a cluster of its own; KEEP=1 leaves it up, KUBECONFIG=FILE uses yours
	tests/run.sh demo

test: ## every test there is, the end-to-end ones on a real cluster included
	tests/run.sh test

check: ## the part of the tests that needs no cluster
	tests/run.sh check

bench: ## measures what docs/figures.md gives
	tests/run.sh bench

scale: ## measures what docs/figures.md gives of many live grants; GRANTS=10000
	tests/run.sh scale $(GRANTS)

fuzz: ## generated statements through the gate on real servers, where nothing may change; SECONDS=3600
	tests/run.sh fuzz $(SECONDS)

soak: ## the audit log under faults of its disk, with new seeds; SECONDS=3600
	tests/run.sh soak $(SECONDS)

images: ## the images and the kubectl plug-in, cached outside the checkout
	$(BED) install images
	images/build.sh

install: ## what all of these need: Debian packages, tools, programs and images of the test bed (cached outside the checkout)
	$(BED) install
	$(BED) build

cluster-up: ## a one-node Kubernetes with Vault in network namespace KH_NS (keyhole); see tests/cluster/bed --help
	$(BED) install cluster
	$(BED) build cluster
	$(BED) up
	$(BED) vault up

cluster-down: ## takes that cluster away again
	$(BED) down
