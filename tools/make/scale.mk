# SPDX-License-Identifier: Apache-2.0
# How the mesh does with many services.
.PHONY: bench-config
bench-config: ## how soon a change is in force with 10,000 services x 10 endpoints, agent's memory and start (root)
	@if [ "$$(id -u)" -ne 0 ]; then echo "an agent loads BPF programs: run sudo make bench-config" >&2; exit 1; fi
	@$(SUBMAKE) all
	@mkdir -p $(B)/bench
	@tools/bench/config $(BENCH_CONFIG) --json $(B)/bench/config.json
	@tools/bench/config $(BENCH_CONFIG) --mesh --json $(B)/bench/config-mesh.json
