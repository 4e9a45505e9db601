#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# `meshd control` on a real kube-apiserver: leader election, the admission webhook and its CA, reconciling. Needs KUBERNETES
# (a directory with `up` and `down`) and HYPER (a binary with kube-apiserver in it); no root.
if [ -z "${KUBERNETES:-}" ] || [ -z "${HYPER:-}" ] || [ ! -x "${HYPER:-}" ] || ! command -v etcd > /dev/null; then
	echo "skip control on a real kube-apiserver: KUBERNETES and HYPER name none, or etcd is missing"
	exit 0
fi
exec python3 "$(dirname "$0")/control_kubernetes.py" "$@"
