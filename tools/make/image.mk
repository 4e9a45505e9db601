# SPDX-License-Identifier: Apache-2.0
# Container images without a container engine, and the manifests of deploy/.
IMAGES    := build/images
IMAGE_CNI := $(if $(wildcard user/cni/*.c),$(B)/sockmesh-cni)
TEST_DEPS  += $(IMAGE_CNI) $(B)/bench/load
TEST_EXTRA += $(addprefix tests/image/,deploy.py image.py)
# The same programs come out whatever directory they are built in.
override CFLAGS += -ffile-prefix-map=$(CURDIR)=.
BPF_CFLAGS      += -ffile-prefix-map=$(CURDIR)=.
$(BPF_SRC:bpf/%.bpf.c=$(B)/bpf/%.bpf.o): tools/make/image.mk

.PHONY: image image-archives deploy-crds
image: ## OCI archives and their SBOMs, in build/images; the same commit gives the same bytes
	@$(if $(filter 1,$(SAN)),echo "make image: not with SAN=1: an image has no sanitizer's libraries" >&2; exit 1)
	@$(SUBMAKE) image-archives

image-archives: all $(B)/bench/load $(IMAGE_CNI)
	@VERSION='$(VERSION)' REVISION="$$(git rev-parse HEAD 2>/dev/null || echo unknown)" \
		SOURCE_DATE_EPOCH="$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct 2>/dev/null || echo 0)}" \
		tools/image/build $(B) $(IMAGES)

deploy-crds: $(B)/meshctl ## write deploy/crds.yaml from the tables of the mesh's kinds
	@tools/image/crds $< > deploy/crds.yaml.tmp && mv deploy/crds.yaml.tmp deploy/crds.yaml
