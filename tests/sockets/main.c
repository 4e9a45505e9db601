/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sockets list                                the cases: name, what, vias, quick or full
 * sockets serve PATH                          the helper, in the server pod
 * sockets run --via tcp --to IP[,IP6] ...     the cases, in the client pod; records on standard output
 * sockets soak --via tcp --to IP ...          messages for a long time, in the client pod
 */
#include "helper.h"
#include "soak.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LIMIT_S = 60, QUICK_LIMIT_S = 20, STUCK_S = 10, FAR = 4, JOBS_MAX = 32, CASES_MAX = 256 };

static const struct sc_group *const groups[] = {&sc_transfer, &sc_file, &sc_recv,    &sc_ready, &sc_close, &sc_abort,
						&sc_connect,  &sc_bind, &sc_options, &sc_share, &sc_uring};
static const struct {
	enum sc_via via;
	const char *name;
} vias[] = {{SC_TCP, "tcp"}, {SC_UPGRADE, "upgrade"}, {SC_CONNECT, "connect"}, {SC_BODY, "body"}};

struct options {
	struct sc base;
	unsigned jobs, seconds;
	uint64_t seed, messages;
	const char *until;
	char **names; /* of the cases that are wanted; none: all */
	int name_count;
};

struct job {
	const struct sc_case *row;
	pid_t pid; /* 0: free */
	uint64_t began_ms, moved_ms, cpu;
	unsigned limit_s;
	bool overdue;
};

static const char *via_name(enum sc_via via)
{
	for (size_t i = 0; i < sizeof(vias) / sizeof(vias[0]); i++)
		if (vias[i].via == via)
			return vias[i].name;
	return "?";
}

static int list_main(void)
{
	for (size_t g = 0; g < sizeof(groups) / sizeof(groups[0]); g++)
		for (size_t i = 0; i < groups[g]->count; i++) {
			const struct sc_case *row = &groups[g]->rows[i];
			char text[64] = "";

			for (size_t v = 0; v < sizeof(vias) / sizeof(vias[0]); v++)
				if (row->vias & vias[v].via)
					sprintf(text + strlen(text), "%s%s", text[0] ? "," : "", vias[v].name);
			printf("%s\t%s\t%s\t%s\n", row->name, row->what, text, row->full_only ? "full" : "quick");
		}
	return 0;
}

static uint64_t hash(const char *text)
{
	uint64_t h = 0xcbf29ce484222325;

	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * 0x100000001b3;
	return h;
}

static void start(const struct options *o, const struct sc_case *row, struct job *job, unsigned slot)
{
	struct sc x = o->base;

	x.row = row;
	x.port = (uint16_t)(o->base.port + 2 * slot);
	x.seed = hash(row->name) ^ o->seed;
	job->row = row;
	job->began_ms = job->moved_ms = sc_now_ms();
	job->cpu = 0;
	job->overdue = false;
	job->limit_s = !o->base.full ? QUICK_LIMIT_S : row->limit_s ? row->limit_s : LIMIT_S;
	fflush(NULL);
	job->pid = fork();
	if (job->pid == 0) {
		setpgid(0, 0);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		row->run(&x);
		_exit(0);
	}
	if (job->pid < 0) {
		fprintf(stderr, "fork: %m\n");
		exit(1);
	}
}

static void say_end(const struct job *job, int status)
{
	char text[64] = "done", line[200];
	int n;

	if (job->overdue)
		snprintf(text, sizeof(text), "not done after %llu s",
			 (unsigned long long)(sc_now_ms() - job->began_ms) / 1000);
	else if (WIFSIGNALED(status))
		snprintf(text, sizeof(text), "ended by SIG%s", sigabbrev_np(WTERMSIG(status)));
	else if (WEXITSTATUS(status) > 1)
		snprintf(text, sizeof(text), "exit status %d", WEXITSTATUS(status));
	n = snprintf(line, sizeof(line), "%s\tend\t%llu\t%s\n", job->row->name,
		     (unsigned long long)(sc_now_ms() - job->began_ms), text);
	if (write(STDOUT_FILENO, line, n) != n)
		_exit(3);
}

/* CPU time of the case's process in clock ticks; it grows for as long as the case gets on. */
static uint64_t cpu_of(pid_t pid)
{
	unsigned long long user = 0, system = 0;
	char path[64], text[512] = "", *end;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (fgets(text, sizeof(text), f) && (end = strrchr(text, ')')))
		sscanf(end + 1, "%*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu %llu", &user, &system);
	fclose(f);
	return user + system;
}

/* Beyond its time, and either stuck or far beyond: on a machine that does much else a case takes longer. */
static bool is_overdue(struct job *j)
{
	uint64_t now = sc_now_ms(), ran = now - j->began_ms, cpu;

	if (ran <= 1000ULL * j->limit_s)
		return false;
	cpu = cpu_of(j->pid);
	if (cpu != j->cpu) {
		j->cpu = cpu;
		j->moved_ms = now;
	}
	return now - j->moved_ms > 1000ULL * STUCK_S || ran > 1000ULL * FAR * j->limit_s;
}

/* Takes in what has ended, ends what is overdue. Returns how many are running. */
static unsigned reap(struct job *jobs, unsigned count)
{
	unsigned running = 0;

	for (unsigned i = 0; i < count; i++) {
		struct job *j = &jobs[i];
		int status;

		if (!j->pid)
			continue;
		if (!j->overdue && is_overdue(j)) {
			j->overdue = true;
			kill(-j->pid, SIGKILL);
		}
		if (waitpid(j->pid, &status, WNOHANG) == j->pid) {
			kill(-j->pid, SIGKILL); /* children that it left */
			say_end(j, status);
			j->pid = 0;
		} else {
			running++;
		}
	}
	return running;
}

static bool wanted(const struct options *o, const struct sc_case *row)
{
	if (!(row->vias & o->base.via) || (row->full_only && !o->base.full))
		return false;
	for (int i = 0; i < o->name_count; i++)
		if (strcmp(o->names[i], row->name) == 0)
			return true;
	return o->name_count == 0;
}

static void run_all(const struct options *o)
{
	const struct sc_case *rows[CASES_MAX];
	struct job jobs[JOBS_MAX] = {0};
	size_t count = 0, next = 0;

	for (size_t g = 0; g < sizeof(groups) / sizeof(groups[0]); g++)
		for (size_t i = 0; i < groups[g]->count && count < CASES_MAX; i++)
			if (wanted(o, &groups[g]->rows[i]))
				rows[count++] = &groups[g]->rows[i];
	while (reap(jobs, o->jobs) || next < count) {
		for (unsigned i = 0; i < o->jobs && next < count; i++)
			if (!jobs[i].pid)
				start(o, rows[next++], &jobs[i], i);
		sc_sleep_ms(2);
	}
}

static int usage(void)
{
	fputs("usage: sockets list\n"
	      "       sockets serve PATH\n"
	      "       sockets run --via tcp|upgrade|connect|body --to IP[,IP6] --port N --helper PATH [--host NAME]\n"
	      "                   [--jobs N] [--seed N] [--full] [CASE...]\n"
	      "       sockets soak (the same) [--seconds N] [--messages N] [--until FILE]\n",
	      stderr);
	return 2;
}

static bool take_address(struct sc *x, char *text)
{
	char *six = strchr(text, ',');

	if (six) {
		*six++ = 0;
		x->has_v6 = inet_pton(AF_INET6, six, &x->v6) == 1;
	}
	return inet_pton(AF_INET, text, &x->v4) == 1 && (!six || x->has_v6);
}

static bool take_option(struct options *o, int option)
{
	switch (option) {
	case 'v':
		for (size_t i = 0; i < sizeof(vias) / sizeof(vias[0]); i++)
			if (strcmp(optarg, vias[i].name) == 0)
				o->base.via = vias[i].via;
		return strcmp(via_name(o->base.via), optarg) == 0;
	case 't':
		return take_address(&o->base, optarg);
	case 'p':
		o->base.port = (uint16_t)atoi(optarg);
		return o->base.port != 0;
	case 'u':
		o->base.helper = optarg;
		return true;
	case 'h':
		o->base.host = optarg;
		return true;
	case 'j':
		o->jobs = (unsigned)atoi(optarg);
		return o->jobs >= 1 && o->jobs <= JOBS_MAX;
	case 's':
		o->seed = strtoull(optarg, NULL, 0);
		return true;
	case 'f':
		o->base.full = true;
		return true;
	case 'l':
		o->seconds = (unsigned)atoi(optarg);
		return o->seconds > 0;
	case 'm':
		o->messages = strtoull(optarg, NULL, 0);
		return o->messages > 0;
	case 'e':
		o->until = optarg;
		return true;
	default:
		return false;
	}
}

static int run_main(int argc, char **argv)
{
	static const struct option rows[] = {
		{"via", required_argument, NULL, 'v'},     {"to", required_argument, NULL, 't'},
		{"port", required_argument, NULL, 'p'},    {"helper", required_argument, NULL, 'u'},
		{"host", required_argument, NULL, 'h'},    {"jobs", required_argument, NULL, 'j'},
		{"seed", required_argument, NULL, 's'},    {"full", no_argument, NULL, 'f'},
		{"seconds", required_argument, NULL, 'l'}, {"messages", required_argument, NULL, 'm'},
		{"until", required_argument, NULL, 'e'},   {0}};
	struct options o = {.base = {.via = SC_TCP, .host = "localhost"},
			    .jobs = 4,
			    .seed = 1,
			    .seconds = 60,
			    .messages = UINT64_MAX};
	struct rlimit files;
	int option;

	while ((option = getopt_long(argc, argv, "", rows, NULL)) >= 0)
		if (!take_option(&o, option))
			return usage();
	if (!o.base.port || !o.base.helper)
		return usage();
	o.names = argv + optind;
	o.name_count = argc - optind;
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	if (strcmp(argv[0], "soak") == 0)
		return sc_soak_main(&(struct sc_soak){&o.base, o.jobs, o.seconds, o.messages, o.seed, o.until});
	run_all(&o);
	return 0;
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_DFL);
	if (argc == 2 && strcmp(argv[1], "list") == 0)
		return list_main();
	if (argc == 3 && strcmp(argv[1], "serve") == 0)
		return sc_helper_main(argv[2]);
	if (argc > 2 && (strcmp(argv[1], "run") == 0 || strcmp(argv[1], "soak") == 0))
		return run_main(argc - 1, argv + 1);
	return usage();
}
