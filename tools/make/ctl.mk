# SPDX-License-Identifier: Apache-2.0
# The manifests of deploy/, in the order of their kustomization, become a part of meshctl.
DEPLOY_FILES := $(addprefix deploy/,$(shell awk '/^[a-z]/ { list = /^resources:/ } list && $$1 == "-" { print $$2 }' deploy/kustomization.yaml))

$(B)/gen/manifests.yaml: deploy/kustomization.yaml $(DEPLOY_FILES)
	@mkdir -p $(@D)
	$(call say,GEN)
	$(Q)for f in $(DEPLOY_FILES); do echo "---"; cat "$$f"; done > $@.tmp && mv $@.tmp $@

$(B)/obj/user/ctl/manifest.o: $(B)/gen/manifests.yaml
