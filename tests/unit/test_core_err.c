/* SPDX-License-Identifier: Apache-2.0 */
/* core/: errors, nearest names, log lines, addresses. */
#include "test.h"

#include "core/addr.h"
#include "core/err.h"
#include "core/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>

TEST(err_formats_what_is_known)
{
	struct mesh_errs errs = {0};
	struct mesh_buf out = {0};
	struct mesh_err *e;

	CHECK(mesh_errs_add(NULL, "nobody asks") == NULL);
	e = mesh_errs_add(&errs, "%d is out of range 0..100", 140);
	e->file = mesh_xstrdup("routes.yaml");
	e->line = 14;
	e->column = 9;
	e->object = mesh_xstrdup("VirtualService reviews");
	e->path = mesh_xstrdup("spec.http[0].route[1].weight");
	e = mesh_errs_add(&errs, "unknown field");
	e->file = mesh_xstrdup("a.yaml");
	e->column = 3; /* without a line, a column says nothing */
	e->hint = mesh_xstrdup("did you mean \"weight\"?");
	e = mesh_errs_add(&errs, "only text");
	e = mesh_errs_add(&errs, "no column");
	e->file = mesh_xstrdup("b.yaml");
	e->line = 2;
	mesh_errs_format(&errs, &out);
	CHECK_STR(out.data, "routes.yaml:14:9: VirtualService reviews: spec.http[0].route[1].weight: "
			    "140 is out of range 0..100\n"
			    "a.yaml: unknown field (did you mean \"weight\"?)\n"
			    "only text\n"
			    "b.yaml:2: no column\n");
	mesh_buf_clear(&out);
	mesh_err_format(&errs.list.items[2], &out);
	CHECK_STR(out.data, "only text");
	mesh_errs_free(&errs);
	CHECK_INT(errs.list.count, 0);
	mesh_errs_free(&errs);
	mesh_buf_free(&out);
}

TEST(nearest_finds_typos_only)
{
	static const char *const fields[] = {"weight", "destination", "headers", "host", "hosts"};
	char long_name[200];

	CHECK_STR(mesh_nearest("wieght", fields, 5), "weight");
	CHECK_STR(mesh_nearest("DESTINATION", fields, 5), "destination");
	CHECK_STR(mesh_nearest("destinaton", fields, 5), "destination");
	CHECK_STR(mesh_nearest("hots", fields, 5), "hosts");
	CHECK_STR(mesh_nearest("hosts", fields, 5), "hosts");
	CHECK(mesh_nearest("port", fields, 5) == NULL || strcmp(mesh_nearest("port", fields, 5), "host") != 0);
	CHECK(mesh_nearest("x", fields, 5) == NULL);
	CHECK(mesh_nearest("", fields, 5) == NULL);
	CHECK(mesh_nearest("weight", fields, 0) == NULL);
	memset(long_name, 'a', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	CHECK(mesh_nearest(long_name, fields, 5) == NULL);
}

/* Runs fn with stderr in a file and gives what it wrote. */
static void capture_stderr(void (*fn)(void), struct mesh_buf *out)
{
	char path[] = "/tmp/mesh-test-XXXXXX";
	int fd = mkstemp(path), old = dup(STDERR_FILENO);

	dup2(fd, STDERR_FILENO);
	fn();
	dup2(old, STDERR_FILENO);
	close(old);
	close(fd);
	mesh_file_read(path, 65536, out);
	unlink(path);
}

static void log_some(void)
{
	errno = ENOTTY;
	mesh_info("hello %d", 1);
	mesh_debug("not shown");
	mesh_error("bad: %m");
	mesh_log_init("test", MESH_LOG_ERROR);
	mesh_warn("not shown either");
	mesh_log_init("test", MESH_LOG_DEBUG);
	mesh_debug("shown");
}

TEST(log_lines)
{
	struct mesh_buf out = {0};
	struct mesh_slice rest, line;
	static const char *const want[] = {"info test: hello 1", "error test: bad: Inappropriate ioctl for device",
					   "debug test: shown"};

	mesh_log_init("test", MESH_LOG_INFO);
	capture_stderr(log_some, &out);
	CHECK_INT(errno == ENOTTY || errno == 0, 1);
	rest = mesh_slice_trim(mesh_buf_view(&out));
	for (size_t i = 0; i < MESH_ARRAY_SIZE(want); i++) {
		CHECK(mesh_slice_split(&rest, '\n', &line));
		CHECK(line.len > 25 && line.ptr[10] == 'T' && line.ptr[19] == '.' && line.ptr[23] == 'Z');
		CHECK(mesh_slice_eq(mesh_slice_of(line.ptr + 25, line.len - 25), mesh_slice_str(want[i])));
	}
	CHECK(!mesh_slice_split(&rest, '\n', &line));
	mesh_buf_free(&out);
}

static const char *round_trip(const char *text)
{
	static char out[MESH_ADDR_TEXT];
	struct mesh_addr a;

	return mesh_addr_parse_port(mesh_slice_str(text), &a) < 0 ? NULL : mesh_addr_text(&a, out);
}

TEST(addr_text_round_trip)
{
	CHECK_STR(round_trip("10.0.0.1:80"), "10.0.0.1:80");
	CHECK_STR(round_trip("255.255.255.255:65535"), "255.255.255.255:65535");
	CHECK_STR(round_trip("[fd00::1]:443"), "[fd00::1]:443");
	CHECK_STR(round_trip("[::]:0"), "[::]:0");
	CHECK_STR(round_trip("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"),
		  "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
	CHECK_STR(round_trip("[::ffff:10.0.0.1]:80"), "10.0.0.1:80");
}

TEST(addr_refuses)
{
	static const char *const bad[] = {"",
					  ":",
					  ":80",
					  "10.0.0.1",
					  "10.0.0.1:",
					  "10.0.0.1:65536",
					  "10.0.0.1:-1",
					  "10.0.0.1:8x",
					  "10.0.0:80",
					  "fd00::1:80",
					  "[fd00::1]",
					  "[fd00::1:80",
					  "[]:80",
					  "[fd00::g]:80",
					  "1.2.3.4:5:6",
					  "10.0.0.1 :80",
					  "[1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc]:1"};
	struct mesh_addr a = mesh_addr_from_v4(htonl(0x01020304), 5), b = a;

	for (size_t i = 0; i < MESH_ARRAY_SIZE(bad); i++) {
		CHECK(mesh_addr_parse_port(mesh_slice_str(bad[i]), &a) < 0);
		CHECK(mesh_addr_eq(&a, &b)); /* untouched */
	}
	CHECK_INT(mesh_addr_parse(MESH_SLICE("10.0.0.1:80"), 1, &a), -EINVAL);
	CHECK_INT(mesh_addr_parse(MESH_SLICE(""), 1, &a), -EINVAL);
	CHECK(mesh_addr_eq(&a, &b));
}

TEST(addr_families_and_equality)
{
	struct mesh_addr v4, mapped, v6;
	char out[MESH_ADDR_TEXT];

	CHECK_INT(mesh_addr_parse(MESH_SLICE("10.1.2.3"), 80, &v4), 0);
	CHECK_INT(mesh_addr_parse(MESH_SLICE("::ffff:10.1.2.3"), 80, &mapped), 0);
	CHECK_INT(mesh_addr_parse(MESH_SLICE("fd00::3"), 80, &v6), 0);
	CHECK(mesh_addr_is_v4(&v4) && mesh_addr_is_v4(&mapped) && !mesh_addr_is_v4(&v6));
	CHECK_INT(ntohl(mesh_addr_v4(&v4)), 0x0a010203);
	CHECK(mesh_addr_eq(&v4, &mapped));
	mapped.port = 81;
	CHECK(!mesh_addr_eq(&v4, &mapped));
	CHECK(mesh_addr_ip_eq(&v4, &mapped));
	CHECK(!mesh_addr_ip_eq(&v4, &v6));
	CHECK_STR(mesh_addr_ip_text(&v6, out), "fd00::3");
	CHECK_STR(mesh_addr_ip_text(&v4, out), "10.1.2.3");
}

TEST(addr_socket_round_trip)
{
	static const char *const texts[] = {"10.1.2.3:80", "[fd00::3]:8080"};
	struct sockaddr_storage ss;

	for (size_t i = 0; i < 2; i++) {
		struct mesh_addr a, b = {0};

		CHECK_INT(mesh_addr_parse_port(mesh_slice_str(texts[i]), &a), 0);
		CHECK_INT(mesh_addr_to_sock(&a, &ss),
			  i == 0 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
		CHECK_INT(ss.ss_family, i == 0 ? AF_INET : AF_INET6);
		CHECK_INT(mesh_addr_from_sock(&ss, &b), 0);
		CHECK(mesh_addr_eq(&a, &b));
	}
	memset(&ss, 0, sizeof(ss));
	ss.ss_family = AF_UNIX;
	CHECK_INT(mesh_addr_from_sock(&ss, &(struct mesh_addr){0}), -EAFNOSUPPORT);
}

TEST_MAIN()
