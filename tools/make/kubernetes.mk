# SPDX-License-Identifier: Apache-2.0
# The embedded API beside a real kube-apiserver: KUBERNETES=DIR with up and down, HYPER=BINARY. KUBECTL=PATH: another kubectl.
.PHONY: test-kubernetes
test-kubernetes: all ## compare with a real kube-apiserver (KUBERNETES=DIR HYPER=BINARY)
	@tests/run tests/e2e/kubernetes-compare.py
