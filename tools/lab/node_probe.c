/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/node.h"

#include "core/mem.h"

#include <stdio.h>

static const struct {
	const char *field, *name;
} kinds[MESH_PROBE_KINDS] = {
	[MESH_PROBE_STARTUP] = {"startupProbe", "Startup"},
	[MESH_PROBE_READINESS] = {"readinessProbe", "Readiness"},
	[MESH_PROBE_LIVENESS] = {"livenessProbe", "Liveness"},
};

enum { EARLY_FIRST_MS = 20 };

void mesh_probe_times_of(const json_t *probe, struct mesh_probe_times *ret)
{
	ret->initial_delay_s = (unsigned)mesh_lab_int(probe, "initialDelaySeconds", 0);
	ret->period_s = (unsigned)mesh_lab_int(probe, "periodSeconds", 10);
	ret->timeout_s = (unsigned)mesh_lab_int(probe, "timeoutSeconds", 1);
	ret->success = (unsigned)mesh_lab_int(probe, "successThreshold", 1);
	ret->failure = (unsigned)mesh_lab_int(probe, "failureThreshold", 3);
	ret->period_s = ret->period_s ? ret->period_s : 1;
	ret->timeout_s = ret->timeout_s ? ret->timeout_s : 1;
}

unsigned mesh_probe_early_ms(unsigned n, unsigned period_s)
{
	unsigned ms = EARLY_FIRST_MS;

	while (n-- && ms < period_s * 1000)
		ms *= 2;
	return ms < period_s * 1000 ? ms : period_s * 1000;
}

static void start_one(struct mesh_probe *p);

/* After the first start-up success, or at once without a start-up probe. */
static void start_others(struct mesh_container *c)
{
	c->started = true;
	for (int k = MESH_PROBE_READINESS; k < MESH_PROBE_KINDS; k++)
		start_one(&c->probes[k]);
	if (!c->probes[MESH_PROBE_READINESS].on)
		c->ready = true;
	mesh_pod_report(c->pod);
	mesh_pod_step(c->pod);
}

static void liveness_failed(struct mesh_probe *p)
{
	struct mesh_container *c = p->container;
	const json_t *own = mesh_lab_at(mesh_container_spec(c), kinds[p->kind].field);
	unsigned grace = (unsigned)mesh_lab_int(own, "terminationGracePeriodSeconds",
						mesh_lab_int(c->pod->obj, "spec.terminationGracePeriodSeconds", 30));
	mesh_auto_free char *why = mesh_xasprintf("Container %s failed %s probe, will be restarted", c->name,
						  p->kind == MESH_PROBE_STARTUP ? "startup" : "liveness");

	mesh_probes_stop(c);
	mesh_container_stop(c, grace, why);
}

static void note_success(struct mesh_probe *p)
{
	struct mesh_container *c = p->container;

	p->failures = 0;
	p->ever = true;
	if (++p->successes < p->times.success)
		return;
	if (p->kind == MESH_PROBE_STARTUP) {
		mesh_timer_remove(c->pod->node->loop, &p->timer);
		p->on = false;
		start_others(c);
	} else if (p->kind == MESH_PROBE_READINESS && !c->ready) {
		c->ready = true;
		mesh_pod_report(c->pod);
	}
}

static void note_failure(struct mesh_probe *p, const char *error)
{
	struct mesh_container *c = p->container;
	bool early = p->kind == MESH_PROBE_READINESS && !p->ever && p->tries < 6;

	p->successes = 0;
	p->failures++;
	if (!early) /* a server that is just starting is no event */
		mesh_node_event(c->pod, "Warning", "Unhealthy", "%s probe failed: %s", kinds[p->kind].name, error);
	if (p->failures < p->times.failure)
		return;
	if (p->kind == MESH_PROBE_READINESS) {
		if (c->ready) {
			c->ready = false;
			mesh_pod_report(c->pod);
		}
	} else {
		liveness_failed(p);
	}
}

static void probed(void *arg, const char *error)
{
	struct mesh_probe *p = arg;

	p->action = NULL;
	if (error)
		note_failure(p, error);
	else
		note_success(p);
}

static void probe_due(struct mesh_loop *loop, struct mesh_timer *timer)
{
	struct mesh_probe *p = mesh_container_of(timer, struct mesh_probe, timer);
	struct mesh_container *c = p->container;
	unsigned ms = p->times.period_s * 1000;

	if (p->kind != MESH_PROBE_LIVENESS && !p->ever)
		ms = mesh_probe_early_ms(p->tries, p->times.period_s);
	if (p->kind == MESH_PROBE_STARTUP) /* failures count: keep its period */
		ms = p->times.period_s * 1000;
	p->tries++;
	mesh_timer_set(loop, timer, MESH_MS(ms));
	if (!p->action)
		p->action = mesh_action_start(c, mesh_lab_at(mesh_container_spec(c), kinds[p->kind].field),
					      p->times.timeout_s, probed, p);
}

static void start_one(struct mesh_probe *p)
{
	struct mesh_container *c = p->container;
	const json_t *spec = mesh_lab_at(mesh_container_spec(c), kinds[p->kind].field);

	if (!spec)
		return;
	mesh_probe_times_of(spec, &p->times);
	p->on = true;
	p->timer.fn = probe_due;
	mesh_timer_set(c->pod->node->loop, &p->timer,
		       p->times.initial_delay_s ? MESH_SEC(p->times.initial_delay_s) : MESH_MS(5));
}

void mesh_probes_start(struct mesh_container *c)
{
	bool was_ready = c->ready;

	mesh_probes_stop(c);
	for (int k = 0; k < MESH_PROBE_KINDS; k++) {
		struct mesh_timer timer = c->probes[k].timer;

		memset(&c->probes[k], 0, sizeof(c->probes[k]));
		c->probes[k].timer = timer;
		c->probes[k].container = c;
		c->probes[k].kind = (enum mesh_probe_kind)k;
	}
	c->started = c->ready = false;
	start_one(&c->probes[MESH_PROBE_STARTUP]);
	if (!c->probes[MESH_PROBE_STARTUP].on)
		start_others(c);
	if (was_ready) { /* found running: stays ready until a probe says otherwise */
		c->started = c->ready = true;
		c->probes[MESH_PROBE_READINESS].ever = true;
	}
}

void mesh_probes_stop(struct mesh_container *c)
{
	for (int k = 0; k < MESH_PROBE_KINDS; k++) {
		struct mesh_probe *p = &c->probes[k];

		mesh_timer_remove(c->pod->node->loop, &p->timer);
		mesh_action_cancel(p->action);
		p->action = NULL;
		p->on = false;
	}
}
