/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/podexec.h"

#include "core/mem.h"
#include "kube/exec.h"
#include "kube/kube.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

struct batch {
	const struct mesh_kubeconfig *config;
	struct mesh_podexec *jobs;
	size_t count, next;
	int timeout_ms;
	pthread_mutex_t lock;
};

static char *exec_path(const struct mesh_podexec *job)
{
	mesh_auto_free char *ns = mesh_kube_escape(job->namespace), *pod = mesh_kube_escape(job->pod);
	struct mesh_buf b = {0};

	mesh_buf_printf(&b, "/api/v1/namespaces/%s/pods/%s/exec?stdout=true&stderr=true", ns, pod);
	if (job->container) {
		mesh_auto_free char *c = mesh_kube_escape(job->container);

		mesh_buf_printf(&b, "&container=%s", c);
	}
	for (const char *const *word = job->command; *word; word++) {
		mesh_auto_free char *one = mesh_kube_escape(*word);

		mesh_buf_printf(&b, "&command=%s", one);
	}
	return mesh_buf_steal(&b);
}

static void read_back(int fd, struct mesh_buf *out)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || st.st_size == 0)
		return;
	if (pread(fd, mesh_buf_room(out, (size_t)st.st_size), (size_t)st.st_size, 0) == st.st_size)
		out->len += (size_t)st.st_size;
	out->data[out->len] = '\0';
}

static double now_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void run_one(const struct batch *b, struct mesh_podexec *job)
{
	mesh_auto_free char *path = exec_path(job);
	mesh_auto_fd int out = memfd_create("out", MFD_CLOEXEC), err = memfd_create("err", MFD_CLOEXEC);
	struct mesh_exec_opts o = {
		.path = path, .stdin_fd = -1, .stdout_fd = out, .stderr_fd = err, .timeout_ms = b->timeout_ms};
	mesh_auto(mesh_errs_free) struct mesh_errs errs = {0};
	int r;

	job->begun = now_seconds();
	r = out < 0 || err < 0 ? -errno : mesh_kube_exec(b->config, &o, &job->code, NULL, &errs);
	job->ended = now_seconds();

	if (out >= 0)
		read_back(out, &job->out);
	if (err >= 0)
		read_back(err, &job->err);
	if (r < 0)
		job->error = mesh_xstrdup(errs.list.count ? errs.list.items[0].text : strerror(-r));
}

static void *worker(void *arg)
{
	struct batch *b = arg;

	for (;;) {
		size_t mine;

		pthread_mutex_lock(&b->lock);
		mine = b->next++;
		pthread_mutex_unlock(&b->lock);
		if (mine >= b->count)
			return NULL;
		run_one(b, &b->jobs[mine]);
	}
}

void mesh_podexec_run(const struct mesh_kubeconfig *config, struct mesh_podexec *jobs, size_t count, int timeout_ms)
{
	struct batch b = {.config = config,
			  .jobs = jobs,
			  .count = count,
			  .timeout_ms = timeout_ms,
			  .lock = PTHREAD_MUTEX_INITIALIZER};
	struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
	pthread_t threads[MESH_PODEXEC_AT_ONCE];
	size_t started = 0;

	/* A signal's disposition is the process's: each exec sets and restores it, which threads would do to each
	 * other. */
	sigaction(SIGPIPE, &ignore, &before);
	while (started + 1 < MESH_MIN(count, (size_t)MESH_PODEXEC_AT_ONCE) &&
	       pthread_create(&threads[started], NULL, worker, &b) == 0)
		started++;
	worker(&b);
	for (size_t i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	sigaction(SIGPIPE, &before, NULL);
}

void mesh_podexec_free(struct mesh_podexec *job)
{
	mesh_buf_free(&job->out);
	mesh_buf_free(&job->err);
	free(job->error);
	job->error = NULL;
}

json_t *mesh_podexec_json(const struct mesh_podexec *job)
{
	const char *text = job->out.data ? strchr(job->out.data, '{') : NULL;

	return text ? json_loads(text, JSON_DISABLE_EOF_CHECK, NULL) : NULL;
}

char *mesh_podexec_why(const struct mesh_podexec *job)
{
	struct mesh_slice rest = mesh_slice_trim(mesh_buf_view(&job->err)), line = {0};

	if (job->error)
		return mesh_xstrdup(job->error);
	while (rest.len && mesh_slice_split(&rest, '\n', &line))
		;
	return mesh_xasprintf("exit status %d%s%.*s", job->code, line.len ? ": " : "", (int)line.len, line.ptr);
}
