/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The soak: messages with a number and a checksum, in every rhythm, on connections that come and go, for as long as it
 * is told. Each must come once, whole and in order. Each worker is a process with one connection at a time. Prints a
 * line every few seconds and a last one.
 */
#include "soak.h"

#include "soak_link.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { REPORT_MS = 5000, TURN_MS = 50, CONNECT_MS = 60000, LAST_MS = (SOAK_PATIENCE_S + 60) * 1000 };

struct worker {
	pid_t pid; /* 0: it has ended */
	unsigned lives;
};

/* ---- a worker's process ---- */

static void work(const struct sc_soak *o, struct soak_counts *counts, unsigned number, unsigned life)
{
	static const struct sc_case row = {.name = "soak"};
	static struct soak_phase phases[SOAK_PHASES_MAX];
	static struct soak_link l;
	uint64_t state = (o->seed * 1000 + number) * 100000 + life;
	struct sc x = *o->base;

	x.row = &row;
	x.patience_ms = CONNECT_MS;
	x.port = (uint16_t)(x.port + number);
	l.counts = counts;
	l.phases = phases;
	if (!soak_end_new(&l.ends[0]) || !soak_end_new(&l.ends[1]))
		_exit(2);
	while (!atomic_load(&counts->stop)) {
		struct sc_pair p;

		sc_pair(&x, &p);
		l.ends[0].fd = p.c;
		l.ends[1].fd = p.s;
		soak_link_draw(&l, &state);
		soak_link_run(&l, x.via != SC_BODY);
		close(p.c);
		close(p.s);
		close(p.listener);
		atomic_fetch_add(&counts->connections, 1);
	}
	_exit(0);
}

static void start(const struct sc_soak *o, struct soak_counts *counts, struct worker *w, unsigned number)
{
	fflush(stdout);
	w->pid = fork();
	if (w->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		work(o, counts, number, w->lives);
	}
	if (w->pid < 0) {
		perror("fork");
		exit(1);
	}
	w->lives++;
}

/* ---- all of them ---- */

static void report(const struct soak_counts *c, const char *kind)
{
	printf("%s\tmessages %llu\tbytes %llu\tconnections %llu\tsends %llu\twrong %llu\tbroken %llu\twoken %llu", kind,
	       (unsigned long long)c->messages, (unsigned long long)c->bytes, (unsigned long long)c->connections,
	       (unsigned long long)c->sends, (unsigned long long)c->wrong, (unsigned long long)c->broken,
	       (unsigned long long)c->woken);
	for (int i = 0; i < SOAK_STYLE_COUNT; i++)
		printf("\t%s %llu", soak_style_name((enum soak_style)i), (unsigned long long)c->by_style[i]);
	printf("\n");
	fflush(stdout);
}

/* Takes in what has ended; one that could not go on (no connection) begins anew. Returns how many are running. */
static unsigned reap(const struct sc_soak *o, struct soak_counts *counts, struct worker *workers)
{
	unsigned running = 0;

	for (unsigned i = 0; i < o->connections; i++) {
		struct worker *w = &workers[i];
		int status;

		if (w->pid && waitpid(w->pid, &status, WNOHANG) == w->pid) {
			w->pid = 0;
			if (status != 0) {
				atomic_fetch_add(&counts->broken, 1);
				printf("wrong\t%lld\tworker %u has no connection: wait status %d\n",
				       (long long)time(NULL), i, status);
			}
			if (!atomic_load(&counts->stop))
				start(o, counts, w, i);
		}
		running += w->pid != 0;
	}
	return running;
}

static void end_all(struct soak_counts *counts, const struct sc_soak *o, struct worker *workers)
{
	for (unsigned i = 0; i < o->connections; i++)
		if (workers[i].pid) {
			printf("wrong\t%lld\tworker %u does not end\n", (long long)time(NULL), i);
			atomic_fetch_add(&counts->wrong, 1);
			kill(workers[i].pid, SIGKILL);
			waitpid(workers[i].pid, NULL, 0);
			workers[i].pid = 0;
		}
}

int sc_soak_main(const struct sc_soak *o)
{
	struct soak_counts *counts =
		mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct worker *workers = calloc(o->connections, sizeof(*workers));
	uint64_t end = sc_now_ms() + 1000ULL * o->seconds, next = sc_now_ms() + REPORT_MS, now;

	if (counts == MAP_FAILED || !workers) {
		perror("memory");
		return 2;
	}
	for (unsigned i = 0; i < o->connections; i++)
		start(o, counts, &workers[i], i);
	while (reap(o, counts, workers)) {
		sc_sleep_ms(TURN_MS);
		now = sc_now_ms();
		if (now >= next) {
			report(counts, "so far");
			next += REPORT_MS;
		}
		if (!atomic_load(&counts->stop) && (now >= end || atomic_load(&counts->messages) >= o->messages ||
						    (o->until && access(o->until, F_OK) == 0))) {
			atomic_store(&counts->stop, true);
			end = now;
		}
		if (atomic_load(&counts->stop) && now > end + LAST_MS)
			end_all(counts, o, workers);
	}
	report(counts, "end");
	free(workers);
	return counts->wrong || counts->broken ? 1 : 0;
}
