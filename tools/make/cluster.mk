# SPDX-License-Identifier: Apache-2.0
# The mesh on a real Kubernetes: KUBERNETES=DIR with cluster/up.sh, HYPER=BINARY.
.PHONY: test-cluster test-services test-dual-stack test-uplink churn test-away test-scale bench-cluster
test-cluster: all image bench-programs ## install, tutorial, nodes' troubles, uninstall on a real cluster (KUBERNETES=DIR HYPER=BINARY; root)
	@TEST_TIMEOUT=1200 tests/run tests/cluster/run.sh

test-services: all ## what pods reach by Services, with kube-proxy in two modes and without (KUBERNETES=DIR HYPER=BINARY; root)
	@TEST_TIMEOUT=1800 tests/run tests/cluster/services.sh

test-dual-stack: all image bench-programs ## the mesh on a cluster with IPv4 and IPv6 (KUBERNETES=DIR HYPER=BINARY; root)
	@TEST_TIMEOUT=900 tests/run tests/cluster/dual_stack.sh

test-uplink: all image ## bypass between nodes and XDP at their uplinks on a real cluster (KUBERNETES=DIR HYPER=BINARY; root)
	@TEST_TIMEOUT=900 tests/run tests/cluster/uplink.sh

bench-cluster: all image bench-programs ## CPU per request on a real cluster (KUBERNETES=DIR HYPER=BINARY; root; a quiet machine)
	@TEST_TIMEOUT=3600 tests/run tests/cluster/bench.sh

churn: all image bench-programs ## MINUTES (20) of random change under load on a real cluster (KUBERNETES=DIR HYPER=BINARY; root)
	@TEST_TIMEOUT=7200 tests/run tests/cluster/churn.sh

test-away: all image bench-programs ## the API server away for MINUTES (60) under load, on a real cluster (KUBERNETES=DIR HYPER=BINARY; root)
	@TEST_TIMEOUT=7200 tests/run tests/cluster/away.sh

test-scale: all image ## SERVICES (10000) of 10 endpoints in a real cluster (KUBERNETES=DIR HYPER=BINARY; root)
	@TEST_TIMEOUT=1800 tests/run tests/cluster/scale_cluster.sh
