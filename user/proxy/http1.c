/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http1.h"

#include "core/mem.h"
#include "proxy/http1_chars.h"

#include <errno.h>
#include <strings.h>

enum {
	METHOD_MAX = 64,
	HEAD_BYTES = 60 * 1024,
};

static const size_t LINE_SPARE = 8 * 1024;

static const struct mesh_slice names[] = {{"", 0},
#define NAME_ROW(id, text) {text, sizeof(text) - 1},
					  MESH_HTTP1_NAMES(NAME_ROW)
#undef NAME_ROW
};

static bool has_class(char c, uint8_t class)
{
	return mesh_http1_chars[(uint8_t)c] & class;
}

static bool all_of(struct mesh_slice s, uint8_t class)
{
	for (size_t i = 0; i < s.len; i++)
		if (!has_class(s.ptr[i], class))
			return false;
	return true;
}

void mesh_http1_head_reset(struct mesh_http1_head *head)
{
	struct mesh_http1_head old = *head;

	memset(head, 0, sizeof(*head));
	head->kind = old.kind;
	head->fields = old.fields;
	head->field_max = old.field_max;
	head->limits = old.limits;
}

void mesh_http1_head_init(struct mesh_http1_head *head, enum mesh_http1_kind kind, struct mesh_http1_field *fields,
			  size_t count, const struct mesh_http1_limits *limits)
{
	memset(head, 0, sizeof(*head));
	head->kind = kind;
	head->fields = fields;
	head->field_max = count;
	if (limits)
		head->limits = *limits;
	if (!head->limits.head_bytes)
		head->limits.head_bytes = HEAD_BYTES;
	if (!head->limits.line_bytes)
		head->limits.line_bytes = head->limits.head_bytes - MESH_MIN(head->limits.head_bytes / 2, LINE_SPARE);
}

/* The first line as far as it is there: the same verdict however it is cut. */
static enum mesh_http1_error check_first(const struct mesh_http1_head *h, const char *line, size_t len)
{
	size_t i;

	if (h->kind == MESH_HTTP1_RESPONSE)
		return memcmp(line, "HTTP/1.", MESH_MIN(len, (size_t)7)) == 0 ? MESH_HTTP1_ERROR_NONE
									      : MESH_HTTP1_ERROR_STATUS_LINE;
	for (i = 0; i < len && line[i] != ' '; i++) {
		if (!has_class(line[i], MESH_HTTP1_TOKEN))
			return MESH_HTTP1_ERROR_METHOD;
		if (i == METHOD_MAX)
			return MESH_HTTP1_ERROR_METHOD_LONG;
	}
	return len && i == 0 ? MESH_HTTP1_ERROR_METHOD : MESH_HTTP1_ERROR_NONE;
}

/* host[:port] without user information; may be empty. RFC 9110 section 7.2. */
static bool host_valid(struct mesh_slice host)
{
	const char *colon = host.len ? memrchr(host.ptr, ':', host.len) : NULL;
	bool literal = host.len && host.ptr[0] == '[';

	if (!all_of(host, MESH_HTTP1_HOSTCHAR))
		return false;
	if (literal) {
		const char *end = memchr(host.ptr, ']', host.len);

		if (!end || (end + 1 < host.ptr + host.len && end[1] != ':'))
			return false;
		colon = end + 1 < host.ptr + host.len ? end + 1 : NULL;
	} else if (host.len && (memchr(host.ptr, '[', host.len) || memchr(host.ptr, ']', host.len))) {
		return false;
	}
	if (!colon)
		return true;
	if (!literal && memchr(host.ptr, ':', (size_t)(colon - host.ptr)))
		return false;
	for (const char *p = colon + 1; p < host.ptr + host.len; p++)
		if (*p < '0' || *p > '9')
			return false;
	return true;
}

/* http://authority[/path][?query], as a client sends it to a proxy. RFC 9112 section 3.2.2. */
static bool absolute_target(struct mesh_http1_head *h)
{
	struct mesh_slice t = h->target, rest;
	size_t skip;

	if (t.len > 7 && strncasecmp(t.ptr, "http://", 7) == 0)
		skip = 7;
	else if (t.len > 8 && strncasecmp(t.ptr, "https://", 8) == 0)
		skip = 8;
	else
		return false;
	rest = mesh_slice_of(t.ptr + skip, t.len - skip);
	h->authority = rest;
	h->path = MESH_SLICE("/");
	for (size_t i = 0; i < rest.len; i++) {
		if (rest.ptr[i] != '/' && rest.ptr[i] != '?')
			continue;
		h->authority.len = i;
		h->path = mesh_slice_of(rest.ptr + i, rest.len - i);
		break;
	}
	h->absolute = true;
	return h->authority.len > 0 && host_valid(h->authority);
}

static enum mesh_http1_error parse_target(struct mesh_http1_head *h)
{
	bool connect = mesh_slice_eq(h->method, MESH_SLICE("CONNECT"));

	if (h->target.len == 0)
		return MESH_HTTP1_ERROR_REQUEST_LINE;
	if (!all_of(h->target, MESH_HTTP1_TARGETCHAR))
		return MESH_HTTP1_ERROR_TARGET;
	if (connect) {
		h->authority = h->target;
		h->path = MESH_SLICE("");
		return host_valid(h->target) && memchr(h->target.ptr, ':', h->target.len) ? MESH_HTTP1_ERROR_NONE
											  : MESH_HTTP1_ERROR_TARGET;
	}
	h->path = h->target;
	if (h->target.ptr[0] == '/')
		return MESH_HTTP1_ERROR_NONE;
	if (mesh_slice_eq(h->target, MESH_SLICE("*")) && mesh_slice_eq(h->method, MESH_SLICE("OPTIONS")))
		return MESH_HTTP1_ERROR_NONE;
	return absolute_target(h) ? MESH_HTTP1_ERROR_NONE : MESH_HTTP1_ERROR_TARGET;
}

static bool digit(char c)
{
	return c >= '0' && c <= '9';
}

static enum mesh_http1_error parse_request_line(struct mesh_http1_head *h, const char *line, size_t len)
{
	const char *sp = memchr(line, ' ', len), *sp2;
	struct mesh_slice version;

	if (!sp)
		return MESH_HTTP1_ERROR_REQUEST_LINE;
	h->method = mesh_slice_of(line, (size_t)(sp - line));
	sp2 = memchr(sp + 1, ' ', len - h->method.len - 1);
	if (!sp2)
		return MESH_HTTP1_ERROR_REQUEST_LINE;
	h->target = mesh_slice_of(sp + 1, (size_t)(sp2 - sp - 1));
	version = mesh_slice_of(sp2 + 1, len - (size_t)(sp2 + 1 - line));
	if (version.len != 8 || memcmp(version.ptr, "HTTP/", 5) != 0 || !digit(version.ptr[5]) ||
	    version.ptr[6] != '.' || !digit(version.ptr[7]))
		return MESH_HTTP1_ERROR_REQUEST_LINE;
	if (version.ptr[5] != '1' || version.ptr[7] > '1')
		return MESH_HTTP1_ERROR_VERSION;
	if (!mesh_http1_method_known(h->method))
		return MESH_HTTP1_ERROR_METHOD_UNKNOWN;
	h->minor = (uint8_t)(version.ptr[7] - '0');
	return parse_target(h);
}

static enum mesh_http1_error parse_status_line(struct mesh_http1_head *h, const char *line, size_t len)
{
	if (len < 12 || line[7] < '0' || line[7] > '1' || line[8] != ' ' || line[9] < '1' || line[9] > '9' ||
	    !digit(line[10]) || !digit(line[11]) || (len > 12 && line[12] != ' '))
		return MESH_HTTP1_ERROR_STATUS_LINE;
	h->minor = (uint8_t)(line[7] - '0');
	h->status = (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');
	h->reason = len > 13 ? mesh_slice_of(line + 13, len - 13) : MESH_SLICE("");
	return all_of(h->reason, MESH_HTTP1_FIELDCHAR) ? MESH_HTTP1_ERROR_NONE : MESH_HTTP1_ERROR_STATUS_LINE;
}

static enum mesh_http1_name name_id(struct mesh_slice name)
{
	for (unsigned i = 1; i < MESH_HTTP1_NAME_COUNT; i++)
		if (names[i].len == name.len && ((names[i].ptr[0] ^ name.ptr[0]) & ~0x20) == 0 &&
		    strncasecmp(names[i].ptr, name.ptr, name.len) == 0)
			return (enum mesh_http1_name)i;
	return MESH_HTTP1_OTHER;
}

bool mesh_http1_list_has(struct mesh_slice list, struct mesh_slice token)
{
	struct mesh_slice part;

	while (mesh_slice_split(&list, ',', &part))
		if (mesh_slice_eq_nocase(mesh_slice_trim(part), token))
			return true;
	return false;
}

static void take_connection(struct mesh_http1_head *h, struct mesh_slice list)
{
	struct mesh_slice part;

	while (mesh_slice_split(&list, ',', &part)) {
		part = mesh_slice_trim(part);
		if (mesh_slice_eq_nocase(part, MESH_SLICE("close")))
			h->close = true;
		else if (mesh_slice_eq_nocase(part, MESH_SLICE("keep-alive")))
			h->keep_alive = true;
		else if (mesh_slice_eq_nocase(part, MESH_SLICE("upgrade")))
			h->upgrade = true;
		else if (part.len)
			h->nominates = true;
	}
}

/* A tab after a value that frames: allowed by RFC 9110, but not every reader takes it for white space. */
static bool tab_behind(struct mesh_slice value)
{
	for (const char *p = value.ptr + value.len; *p != '\r'; p++)
		if (*p == '\t')
			return true;
	return false;
}

static enum mesh_http1_error take_length(struct mesh_http1_head *h, struct mesh_slice value, bool again)
{
	if (again)
		return MESH_HTTP1_ERROR_LENGTH_MANY;
	if (tab_behind(value))
		return MESH_HTTP1_ERROR_LENGTH;
	if (mesh_slice_to_u64(value, INT64_MAX, &h->content_length) < 0)
		return MESH_HTTP1_ERROR_LENGTH;
	return MESH_HTTP1_ERROR_NONE;
}

static enum mesh_http1_error take_coding(struct mesh_http1_head *h, struct mesh_slice value, bool again)
{
	if (h->minor == 0)
		return MESH_HTTP1_ERROR_CODING_OLD;
	if (again)
		return MESH_HTTP1_ERROR_CODING_MANY;
	if (tab_behind(value))
		return MESH_HTTP1_ERROR_CODING;
	if (mesh_slice_eq_nocase(value, MESH_SLICE("chunked")))
		return MESH_HTTP1_ERROR_NONE;
	if (mesh_http1_list_has(value, MESH_SLICE("chunked")) &&
	    !(value.len > 7 && strncasecmp(value.ptr + value.len - 7, "chunked", 7) == 0))
		return MESH_HTTP1_ERROR_CODING_MANY;
	return MESH_HTTP1_ERROR_CODING;
}

/* What the message's own reading depends on. */
static enum mesh_http1_error take_known(struct mesh_http1_head *h, const struct mesh_http1_field *f)
{
	bool again = h->seen & (1u << f->id);

	h->seen |= 1u << f->id;
	switch (f->id) {
	case MESH_HTTP1_HOST:
		if (h->kind == MESH_HTTP1_RESPONSE)
			return MESH_HTTP1_ERROR_NONE;
		if (again)
			return MESH_HTTP1_ERROR_HOST_MANY;
		if (!host_valid(f->value))
			return MESH_HTTP1_ERROR_HOST;
		if (!h->authority.ptr)
			h->authority = f->value;
		return MESH_HTTP1_ERROR_NONE;
	case MESH_HTTP1_CONNECTION:
		take_connection(h, f->value);
		return MESH_HTTP1_ERROR_NONE;
	case MESH_HTTP1_CONTENT_LENGTH:
		return take_length(h, f->value, again);
	case MESH_HTTP1_TRANSFER_ENCODING:
		return take_coding(h, f->value, again);
	case MESH_HTTP1_EXPECT:
		h->expect_continue = h->minor == 1 && mesh_slice_eq_nocase(f->value, MESH_SLICE("100-continue"));
		return MESH_HTTP1_ERROR_NONE;
	default:
		return MESH_HTTP1_ERROR_NONE;
	}
}

static enum mesh_http1_error bad_name(const char *line, const char *p, const char *end)
{
	if (p == line || p == end || (*p != ' ' && *p != '\t'))
		return MESH_HTTP1_ERROR_NAME;
	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	return p < end && *p == ':' ? MESH_HTTP1_ERROR_NAME_SPACE : MESH_HTTP1_ERROR_NAME;
}

static enum mesh_http1_error parse_field(struct mesh_http1_head *h, const char *line, size_t len)
{
	const char *end = line + len, *p = line, *value;
	struct mesh_http1_field *f;

	if (*p == ' ' || *p == '\t')
		return MESH_HTTP1_ERROR_FOLD;
	while (p < end && has_class(*p, MESH_HTTP1_TOKEN))
		p++;
	if (p == line || p == end || *p != ':')
		return bad_name(line, p, end);
	value = p + 1;
	while (value < end && (*value == ' ' || *value == '\t'))
		value++;
	while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	for (const char *v = value; v < end; v++)
		if (!has_class(*v, MESH_HTTP1_FIELDCHAR))
			return *v == '\r' ? MESH_HTTP1_ERROR_BARE_CR : MESH_HTTP1_ERROR_VALUE;
	if (h->field_count == h->field_max)
		return MESH_HTTP1_ERROR_FIELDS_MANY;
	f = &h->fields[h->field_count++];
	f->name = mesh_slice_of(line, (size_t)(p - line));
	f->value = mesh_slice_of(value, (size_t)(end - value));
	f->id = name_id(f->name);
	return f->id == MESH_HTTP1_OTHER ? MESH_HTTP1_ERROR_NONE : take_known(h, f);
}

static bool seen(const struct mesh_http1_head *h, enum mesh_http1_name id)
{
	return h->seen & (1u << id);
}

/* After the empty line: what the fields mean together. RFC 9112 section 6. */
static enum mesh_http1_error finish(struct mesh_http1_head *h)
{
	if (seen(h, MESH_HTTP1_CONTENT_LENGTH) && seen(h, MESH_HTTP1_TRANSFER_ENCODING))
		return MESH_HTTP1_ERROR_LENGTH_CODING;
	if (h->kind == MESH_HTTP1_REQUEST && h->minor == 1 && !seen(h, MESH_HTTP1_HOST))
		return MESH_HTTP1_ERROR_HOST_MISSING;
	if (seen(h, MESH_HTTP1_TRANSFER_ENCODING))
		h->framing = MESH_HTTP1_CHUNKED;
	else if (seen(h, MESH_HTTP1_CONTENT_LENGTH))
		h->framing = MESH_HTTP1_LENGTH;
	else
		h->framing = h->kind == MESH_HTTP1_REQUEST ? MESH_HTTP1_NO_BODY : MESH_HTTP1_CLOSE;
	if (!h->authority.ptr)
		h->authority = MESH_SLICE("");
	h->upgrade = h->upgrade && h->minor == 1 && seen(h, MESH_HTTP1_UPGRADE);
	h->keep_alive = !h->close && (h->minor == 1 || h->keep_alive);
	return MESH_HTTP1_ERROR_NONE;
}

/* Up to and with its LF; *done at the empty line. */
static enum mesh_http1_error take_line(struct mesh_http1_head *h, const char *line, const char *lf, bool *done)
{
	size_t len = (size_t)(lf - line);
	enum mesh_http1_error e = MESH_HTTP1_ERROR_NONE;
	bool first = !h->has_line;

	if (first && h->kind == MESH_HTTP1_REQUEST && len == 1 && line[0] == '\r') {
		h->start = h->scan;
		return h->start > 8 ? MESH_HTTP1_ERROR_REQUEST_LINE : MESH_HTTP1_ERROR_NONE;
	}
	if (first)
		e = check_first(h, line, len);
	if (!e && first && len > h->limits.line_bytes)
		e = h->kind == MESH_HTTP1_REQUEST ? MESH_HTTP1_ERROR_TARGET_LONG : MESH_HTTP1_ERROR_HEAD_LARGE;
	if (!e && !first && h->scan - h->start > h->limits.head_bytes)
		e = MESH_HTTP1_ERROR_HEAD_LARGE;
	if (!e && (len == 0 || line[len - 1] != '\r'))
		e = MESH_HTTP1_ERROR_BARE_LF;
	if (e)
		return e;
	len--;
	if (first) {
		h->has_line = true;
		return h->kind == MESH_HTTP1_REQUEST ? parse_request_line(h, line, len)
						     : parse_status_line(h, line, len);
	}
	*done = len == 0;
	return *done ? finish(h) : parse_field(h, line, len);
}

/* A line that has no end yet. */
static enum mesh_http1_error take_part(const struct mesh_http1_head *h, const char *line, size_t len)
{
	enum mesh_http1_error e;

	if (h->has_line)
		return h->line - h->start + len >= h->limits.head_bytes ? MESH_HTTP1_ERROR_HEAD_LARGE
									: MESH_HTTP1_ERROR_NONE;
	if (h->kind == MESH_HTTP1_REQUEST && len == 1 && line[0] == '\r')
		return MESH_HTTP1_ERROR_NONE;
	e = check_first(h, line, len);
	if (!e && len > h->limits.line_bytes)
		e = h->kind == MESH_HTTP1_REQUEST ? MESH_HTTP1_ERROR_TARGET_LONG : MESH_HTTP1_ERROR_HEAD_LARGE;
	return e;
}

enum mesh_http1_result mesh_http1_head_parse(struct mesh_http1_head *h, const char *data, size_t len)
{
	bool done = false;

	if (h->error)
		return MESH_HTTP1_ERROR;
	if (len == 0)
		return MESH_HTTP1_MORE;
	if (h->base != data) {
		mesh_http1_head_reset(h);
		h->base = data;
	}
	while (!h->error && !done) {
		const char *line = data + h->line;
		const char *lf = len > h->scan ? memchr(data + h->scan, '\n', len - h->scan) : NULL;

		if (!lf) {
			h->scan = len;
			h->error = take_part(h, line, len - h->line);
			return h->error ? MESH_HTTP1_ERROR : MESH_HTTP1_MORE;
		}
		h->scan = (size_t)(lf + 1 - data);
		h->error = take_line(h, line, lf, &done);
		h->line = h->scan;
	}
	if (h->error)
		return MESH_HTTP1_ERROR;
	h->size = h->scan;
	return MESH_HTTP1_DONE;
}

const struct mesh_http1_field *mesh_http1_head_find(const struct mesh_http1_head *head, const char *name)
{
	struct mesh_slice want = mesh_slice_str(name);

	for (size_t i = 0; i < head->field_count; i++)
		if (mesh_slice_eq_nocase(head->fields[i].name, want))
			return &head->fields[i];
	return NULL;
}
