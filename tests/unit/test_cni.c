/* SPDX-License-Identifier: Apache-2.0 */
/* The CNI plugin as a runtime calls it, with and without an agent, and its entry in the network configuration. */
#include "test.h"

#include "agent/cni_conf.h"
#include "cni/plugin.h"
#include "core/mem.h"

#include <errno.h>
#include <ftw.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

struct place {
	char dir[64];
};

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static bool place_new(struct place *p)
{
	*p = (struct place){.dir = "/tmp/mesh-cni-XXXXXX"};
	return mkdtemp(p->dir) != NULL;
}

static void place_free(struct place *p)
{
	nftw(p->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void put(const struct place *p, const char *name, const char *text)
{
	mesh_auto_free char *path = mesh_xasprintf("%s/%s", p->dir, name);

	if (mesh_file_write(path, mesh_slice_str(text), 0644) < 0)
		abort();
}

static char *get(const struct place *p, const char *name)
{
	mesh_auto_free char *path = mesh_xasprintf("%s/%s", p->dir, name);
	struct mesh_buf text = {0};

	return mesh_file_read(path, 1 << 20, &text) < 0 ? mesh_xstrdup("(none)") : mesh_buf_steal(&text);
}

/* An agent that answers once. */

struct agent {
	char path[100];
	int listener;
	const char *answer;
	char seen[4096];
	bool with_fd;
	pthread_t thread;
};

static void *agent_serve(void *arg)
{
	struct agent *a = arg;
	char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8)));
	struct iovec to = {.iov_base = a->seen, .iov_len = sizeof(a->seen) - 1};
	struct msghdr m = {.msg_iov = &to, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	mesh_auto_fd int fd = accept(a->listener, NULL, NULL);
	struct cmsghdr *c;

	if (fd < 0 || recvmsg(fd, &m, MSG_CMSG_CLOEXEC) <= 0)
		return NULL;
	c = CMSG_FIRSTHDR(&m);
	if (c && c->cmsg_type == SCM_RIGHTS) {
		int got;

		memcpy(&got, CMSG_DATA(c), sizeof(got));
		close(got);
		a->with_fd = true;
	}
	send(fd, a->answer, strlen(a->answer), MSG_NOSIGNAL);
	return NULL;
}

static void agent_start(struct agent *a, const struct place *p, const char *answer)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};

	*a = (struct agent){.answer = answer};
	snprintf(a->path, sizeof(a->path), "%s/agent.sock", p->dir);
	strcpy(sun.sun_path, a->path);
	a->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(a->listener, (struct sockaddr *)&sun, sizeof(sun)) < 0 || listen(a->listener, 4) < 0)
		abort();
	pthread_create(&a->thread, NULL, agent_serve, a);
}

static void agent_stop(struct agent *a)
{
	shutdown(a->listener, SHUT_RDWR);
	pthread_join(a->thread, NULL);
	close(a->listener);
}

#define RESULT                                                                                                         \
	"\"prevResult\":{\"cniVersion\":\"1.1.0\",\"ips\":[{\"address\":\"10.1.2.3/24\"},{\"address\":\"fd00::3/"      \
	"64\"}]}"
#define ARGS "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-1;K8S_POD_UID=u-1"

/* Runs the plugin; *out is the caller's to free. */
static int run(const struct place *p, const char *command, const char *args, const char *rest, char **out)
{
	mesh_auto_free char *config = mesh_xasprintf(
		"{\"cniVersion\":\"1.1.0\",\"name\":\"n\",\"type\":\"sockmesh-cni\",\"socket\":\"%s/agent.sock\","
		"\"members\":[\"%s/none.json\",\"%s/members.json\"]%s%s}",
		p->dir, p->dir, p->dir, *rest ? "," : "", rest);
	struct mesh_cni_call call = {.command = command,
				     .container = "c-1",
				     .netns = "/proc/self/ns/net",
				     .ifname = "eth0",
				     .args = args,
				     .config = mesh_slice_str(config)};
	struct mesh_buf text = {0};
	int r = mesh_cni_run(&call, &text);

	*out = mesh_buf_steal(&text);
	return r;
}

TEST(add_tells_the_agent_and_hands_the_result_on)
{
	mesh_auto(place_free) struct place p;
	mesh_auto_free char *out = NULL;
	struct agent a;

	CHECK(place_new(&p));
	agent_start(&a, &p, "{\"ok\":true,\"captured\":true}\n");
	CHECK_INT(run(&p, "ADD", ARGS, RESULT, &out), 0);
	agent_stop(&a);
	CHECK_STR(out,
		  "{\"cniVersion\":\"1.1.0\",\"ips\":[{\"address\":\"10.1.2.3/24\"},{\"address\":\"fd00::3/64\"}]}\n");
	CHECK_STR(
		a.seen,
		"{\"cmd\":\"cni-add\",\"namespace\":\"shop\",\"pod\":\"web-1\",\"uid\":\"u-1\",\"containerId\":\"c-1\","
		"\"netns\":\"/proc/self/ns/net\",\"timeoutMs\":4500,\"ips\":[\"10.1.2.3/24\",\"fd00::3/64\"]}\n");
	CHECK(a.with_fd);
}

TEST(what_the_agent_refuses_does_not_start)
{
	mesh_auto(place_free) struct place p;
	mesh_auto_free char *out = NULL;
	struct agent a;

	CHECK(place_new(&p));
	agent_start(&a, &p, "{\"ok\":false,\"error\":\"map pods is full\"}\n");
	CHECK_INT(run(&p, "ADD", ARGS, RESULT, &out), 1);
	agent_stop(&a);
	CHECK_STR(
		out,
		"{\"cniVersion\":\"1.1.0\",\"code\":100,\"msg\":\"NotCaptured: pod shop/web-1: map pods is full\"}\n");
}

TEST(without_an_agent_members_are_refused_by_name)
{
	mesh_auto(place_free) struct place p;
	mesh_auto_free char *out = NULL, *want = NULL;

	CHECK(place_new(&p));
	put(&p, "members.json", "{\"policy\":\"refuse\",\"namespaces\":[\"other\",\"shop\"]}");
	CHECK_INT(run(&p, "ADD", ARGS, RESULT, &out), 1);
	want = mesh_xasprintf(
		"{\"cniVersion\":\"1.1.0\",\"code\":11,\"msg\":\"AgentNotThere: namespace shop is in the mesh, "
		"and the mesh's agent on this node does not answer\",\"details\":\"%s/agent.sock: No such file "
		"or directory; the pod starts when DaemonSet sockmesh-agent runs here again\"}\n",
		p.dir);
	CHECK_STR(out, want);
}

TEST(without_an_agent_all_others_start)
{
	static const char *const members[] = {"{\"policy\":\"refuse\",\"namespaces\":[\"other\"]}",
					      "{\"policy\":\"plain\",\"namespaces\":[\"shop\"]}", "not JSON"};
	mesh_auto(place_free) struct place p;

	CHECK(place_new(&p));
	for (size_t i = 0; i < MESH_ARRAY_SIZE(members); i++) {
		mesh_auto_free char *out = NULL;

		put(&p, "members.json", members[i]);
		CHECK_INT(run(&p, "ADD", ARGS, RESULT, &out), 0);
		CHECK(strstr(out, "10.1.2.3/24") != NULL);
	}
}

TEST(a_container_that_is_no_pod_passes)
{
	mesh_auto(place_free) struct place p;
	mesh_auto_free char *out = NULL;

	CHECK(place_new(&p));
	CHECK_INT(run(&p, "ADD", NULL, RESULT, &out), 0);
	CHECK(strstr(out, "10.1.2.3/24") != NULL);
}

TEST(add_needs_a_plugin_before_it)
{
	mesh_auto(place_free) struct place p;
	mesh_auto_free char *out = NULL;

	CHECK(place_new(&p));
	CHECK_INT(run(&p, "ADD", ARGS, "", &out), 1);
	CHECK_STR(
		out,
		"{\"cniVersion\":\"1.1.0\",\"code\":7,\"msg\":\"sockmesh-cni must come after the plugin that makes the "
		"interface\",\"details\":\"the configuration has no prevResult\"}\n");
}

TEST(del_check_status_and_gc_pass_without_an_agent)
{
	static const char *const commands[] = {"DEL", "CHECK", "STATUS", "GC"};
	mesh_auto(place_free) struct place p;

	CHECK(place_new(&p));
	put(&p, "members.json", "{\"policy\":\"refuse\",\"namespaces\":[\"shop\"]}");
	for (size_t i = 0; i < MESH_ARRAY_SIZE(commands); i++) {
		mesh_auto_free char *out = NULL;

		CHECK_INT(run(&p, commands[i], ARGS, RESULT ",\"cni.dev/valid-attachments\":[]", &out), 0);
		CHECK_STR(out, "");
	}
}

TEST(check_and_gc_ask)
{
	mesh_auto(place_free) struct place p;
	mesh_auto_free char *out = NULL, *gc = NULL;
	struct agent a;

	CHECK(place_new(&p));
	agent_start(&a, &p, "{\"ok\":false,\"error\":\"the pod is not captured\"}\n");
	CHECK_INT(run(&p, "CHECK", ARGS, RESULT, &out), 1);
	agent_stop(&a);
	CHECK(strstr(out, "NotCaptured: pod shop/web-1: the pod is not captured") != NULL);
	CHECK_INT(unlink(a.path), 0);
	agent_start(&a, &p, "{\"ok\":true,\"removed\":1}\n");
	CHECK_INT(run(&p, "GC", NULL, "\"cni.dev/valid-attachments\":[{\"containerID\":\"c-7\",\"ifname\":\"eth0\"}]",
		      &gc),
		  0);
	agent_stop(&a);
	CHECK(strstr(a.seen, "\"cmd\":\"cni-gc\"") != NULL && strstr(a.seen, "\"valid\":[\"c-7\"]") != NULL);
}

TEST(versions_are_told_and_others_refused)
{
	struct mesh_cni_call call = {.command = "VERSION", .config = MESH_SLICE("{\"cniVersion\":\"9.9.9\"}")};
	struct mesh_buf out = {0};

	CHECK_INT(mesh_cni_run(&call, &out), 0);
	CHECK_STR(out.data, "{\"cniVersion\":\"9.9.9\",\"supportedVersions\":[\"0.3.0\",\"0.3.1\",\"0.4.0\",\"1.0.0\","
			    "\"1.1.0\"]}\n");
	mesh_buf_clear(&out);
	call.command = "ADD";
	CHECK_INT(mesh_cni_run(&call, &out), 1);
	CHECK_STR(out.data,
		  "{\"cniVersion\":\"9.9.9\",\"code\":1,\"msg\":\"this version of the network configuration is not "
		  "supported\",\"details\":\"0.3.0 to 1.1.0 are\"}\n");
	mesh_buf_clear(&out);
	call = (struct mesh_cni_call){.command = "DANCE", .config = MESH_SLICE("{\"cniVersion\":\"1.0.0\"}")};
	CHECK_INT(mesh_cni_run(&call, &out), 1);
	CHECK_STR(out.data,
		  "{\"cniVersion\":\"1.0.0\",\"code\":4,\"msg\":\"CNI_COMMAND is \\\"DANCE\\\"; it is one of ADD, DEL, "
		  "CHECK, GC, STATUS and VERSION\"}\n");
	mesh_buf_clear(&out);
	call.config = MESH_SLICE("x");
	CHECK_INT(mesh_cni_run(&call, &out), 1);
	CHECK(strstr(out.data, "\"code\":6") != NULL);
	mesh_buf_free(&out);
}

TEST(arguments_are_found_whole)
{
	struct mesh_slice v;

	CHECK(mesh_cni_arg("A=1;BC=2;C=;D=3=4", "D", &v) && mesh_slice_eq(v, MESH_SLICE("3=4")));
	CHECK(mesh_cni_arg("A=1;BC=2;C=;D=3=4", "C", &v) && v.len == 0);
	CHECK(!mesh_cni_arg("A=1;BC=2", "B", &v));
	CHECK(!mesh_cni_arg(NULL, "B", &v));
}

/* The entry. */

static const char conflist[] =
	"{\"cniVersion\":\"0.4.0\",   \"name\":\"net\", \"plugins\":[{\"type\":\"bridge\"},{\"type\":\"portmap\"}]}\n";

static void conf_opts(struct mesh_cni_conf_opts *o, const struct place *p, char *buf, size_t size)
{
	snprintf(buf, size, "%s/program", p->dir);
	*o = (struct mesh_cni_conf_opts){.bin_dir = p->dir,
					 .conf_dir = p->dir,
					 .file = buf,
					 .socket = "/run/agent.sock",
					 .members = {"/run/members.json", NULL}};
	put(p, "program", "#!/bin/true\n");
}

TEST(the_entry_is_last_once_and_goes_without_a_trace)
{
	mesh_auto(place_free) struct place p;
	struct mesh_cni_conf_opts o;
	mesh_auto_free char *text = NULL, *after = NULL, *kept = NULL, *program = NULL;
	char path[100];
	json_t *conf, *plugins;

	CHECK(place_new(&p));
	conf_opts(&o, &p, path, sizeof(path));
	put(&p, "10-net.conflist", conflist);
	put(&p, "20-other.conflist", conflist);
	CHECK_INT(mesh_cni_conf_install(&o, NULL), 0);
	CHECK_INT(mesh_cni_conf_install(&o, NULL), 1);
	text = get(&p, "10-net.conflist");
	conf = json_loads(text, 0, NULL);
	plugins = json_object_get(conf, "plugins");
	CHECK_INT(json_array_size(plugins), 3);
	CHECK_STR(json_string_value(json_object_get(json_array_get(plugins, 2), "type")), "sockmesh-cni");
	CHECK_STR(json_string_value(json_object_get(json_array_get(plugins, 2), "socket")), "/run/agent.sock");
	CHECK_STR(json_string_value(json_object_get(conf, "cniVersion")), "0.4.0");
	json_decref(conf);
	CHECK_INT(mesh_cni_conf_remove(p.dir, p.dir, NULL), 0);
	after = get(&p, "10-net.conflist");
	CHECK_STR(after, conflist);
	kept = get(&p, "10-net.conflist.sockmesh-kept");
	CHECK_STR(kept, "(none)");
	program = get(&p, "sockmesh-cni");
	CHECK_STR(program, "(none)");
	CHECK_INT(mesh_cni_conf_remove(p.dir, p.dir, NULL), 0);
}

TEST(a_list_that_its_owner_rewrote_gets_the_entry_again_and_keeps_the_rest)
{
	mesh_auto(place_free) struct place p;
	struct mesh_cni_conf_opts o;
	mesh_auto_free char *after = NULL;
	char path[100];

	CHECK(place_new(&p));
	conf_opts(&o, &p, path, sizeof(path));
	put(&p, "10-net.conflist", conflist);
	CHECK_INT(mesh_cni_conf_install(&o, NULL), 0);
	put(&p, "10-net.conflist", "{\"cniVersion\":\"1.0.0\",\"name\":\"net\",\"plugins\":[{\"type\":\"ptp\"}]}");
	CHECK_INT(mesh_cni_conf_install(&o, NULL), 0);
	CHECK_INT(mesh_cni_conf_remove(p.dir, p.dir, NULL), 0);
	after = get(&p, "10-net.conflist");
	CHECK_STR(after, "{\"cniVersion\":\"1.0.0\",\"name\":\"net\",\"plugins\":[{\"type\":\"ptp\"}]}");
}

TEST(a_single_plugin_becomes_a_list_and_comes_back)
{
	static const char single[] = "{\"cniVersion\":\"0.3.1\",\"name\":\"net\",\"type\":\"bridge\"}";
	mesh_auto(place_free) struct place p;
	struct mesh_cni_conf_opts o;
	mesh_auto_free char *gone = NULL, *text = NULL, *after = NULL, *list = NULL;
	char path[100];
	json_t *conf;

	CHECK(place_new(&p));
	conf_opts(&o, &p, path, sizeof(path));
	put(&p, "10-net.conf", single);
	CHECK_INT(mesh_cni_conf_install(&o, NULL), 0);
	gone = get(&p, "10-net.conf");
	CHECK_STR(gone, "(none)");
	text = get(&p, "10-net.conflist");
	conf = json_loads(text, 0, NULL);
	CHECK_STR(json_string_value(json_object_get(conf, "name")), "net");
	CHECK_INT(json_array_size(json_object_get(conf, "plugins")), 2);
	json_decref(conf);
	CHECK_INT(mesh_cni_conf_remove(p.dir, p.dir, NULL), 0);
	after = get(&p, "10-net.conf");
	CHECK_STR(after, single);
	list = get(&p, "10-net.conflist");
	CHECK_STR(list, "(none)");
}

TEST(what_is_missing_is_said)
{
	mesh_auto(place_free) struct place p;
	mesh_auto(mesh_errs_free) struct mesh_errs errs = {0};
	struct mesh_cni_conf_opts o;
	mesh_auto_free char *want = NULL;
	char path[100];

	CHECK(place_new(&p));
	conf_opts(&o, &p, path, sizeof(path));
	put(&p, "05-broken.conflist", "{");
	CHECK_INT(mesh_cni_conf_install(&o, &errs), -ENOENT);
	want = mesh_xasprintf("%s has no network configuration yet", p.dir);
	CHECK_STR(errs.list.items[0].text, want);
}

TEST_MAIN()
