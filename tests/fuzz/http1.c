/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One message, parsed whole, cut at every place, and byte by byte: all must agree, head and body.
 * The first byte of the input says: bit 0: a response, bit 1: small limits, bits 2-3: the request's method.
 */
#include "proxy/http1.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { FIELDS = 24 };

static unsigned long long runs; /* of the parser: a head or body begun */

static void report(void)
{
	fprintf(stderr, "parser runs: %llu\n", runs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct mesh_http1_limits small = {.line_bytes = 64, .head_bytes = 200, .body_bytes = 40};

struct parsed {
	struct mesh_http1_head head;
	struct mesh_http1_field fields[FIELDS];
	enum mesh_http1_result result;
};

static void begin(struct parsed *p, uint8_t how)
{
	runs++;
	mesh_http1_head_init(&p->head, how & 1 ? MESH_HTTP1_RESPONSE : MESH_HTTP1_REQUEST, p->fields, FIELDS,
			     how & 2 ? &small : NULL);
}

static void same(const struct parsed *a, const struct parsed *b)
{
	if (a->result != b->result || a->head.error != b->head.error)
		abort();
	if (a->result != MESH_HTTP1_DONE)
		return;
	if (a->head.size != b->head.size || a->head.framing != b->head.framing ||
	    a->head.field_count != b->head.field_count || a->head.content_length != b->head.content_length ||
	    a->head.keep_alive != b->head.keep_alive || a->head.status != b->head.status ||
	    !mesh_slice_eq(a->head.path, b->head.path) || !mesh_slice_eq(a->head.authority, b->head.authority))
		abort();
	for (size_t i = 0; i < a->head.field_count; i++)
		if (a->fields[i].id != b->fields[i].id || !mesh_slice_eq(a->fields[i].name, b->fields[i].name) ||
		    !mesh_slice_eq(a->fields[i].value, b->fields[i].value))
			abort();
}

/* What must hold of any head that is accepted. */
static void sane(const struct mesh_http1_head *h, const char *text, size_t len)
{
	if (h->size > len || h->size < 4 || memcmp(text + h->size - 4, "\r\n\r\n", 4) != 0)
		abort();
	for (size_t i = 0; i < h->field_count; i++) {
		struct mesh_slice n = h->fields[i].name, v = h->fields[i].value;

		if (n.len == 0 || n.ptr < text || v.ptr + v.len > text + h->size || n.ptr[n.len] != ':' ||
		    mesh_http1_head_find(h, "\x01"))
			abort();
		if (v.len && (memchr(v.ptr, '\n', v.len) || memchr(v.ptr, '\r', v.len) || memchr(v.ptr, 0, v.len)))
			abort();
	}
}

static void one_head(struct parsed *whole, uint8_t how, const char *text, size_t len)
{
	struct parsed cut;

	begin(whole, how);
	whole->result = mesh_http1_head_parse(&whole->head, text, len);
	if (whole->result == MESH_HTTP1_DONE)
		sane(&whole->head, text, len);
	for (size_t at = 1; at < len; at++) {
		begin(&cut, how);
		cut.result = mesh_http1_head_parse(&cut.head, text, at);
		if (cut.result == MESH_HTTP1_MORE)
			cut.result = mesh_http1_head_parse(&cut.head, text, len);
		same(whole, &cut);
	}
	begin(&cut, how);
	cut.result = MESH_HTTP1_MORE;
	for (size_t n = 1; n <= len && cut.result == MESH_HTTP1_MORE; n++)
		cut.result = mesh_http1_head_parse(&cut.head, text, n);
	same(whole, &cut);
}

struct walked {
	enum mesh_http1_result result;
	enum mesh_http1_error error;
	size_t raw, payload;
	uint32_t sum;
};

static void walk(struct walked *w, struct mesh_http1_body *b, const char *text, size_t len)
{
	do {
		struct mesh_slice part;
		size_t used;

		w->result = mesh_http1_body_next(b, text, len, &used, &part);
		if (used > len || part.len > used)
			abort();
		for (size_t i = 0; i < part.len; i++)
			w->sum = w->sum * 31 + (uint8_t)part.ptr[i];
		w->payload += part.len;
		w->raw += used;
		text += used;
		len -= used;
	} while (w->result == MESH_HTTP1_MORE && len);
	w->error = b->error;
}

static void one_body(const struct mesh_http1_body *start, const char *text, size_t len)
{
	struct mesh_http1_body b = *start;
	struct walked whole = {0};

	walk(&whole, &b, text, len);
	for (size_t at = 1; at < len; at++) {
		struct walked cut = {0};

		b = *start;
		runs++;
		walk(&cut, &b, text, at);
		if (cut.result == MESH_HTTP1_MORE)
			walk(&cut, &b, text + at, len - at);
		if (cut.result != whole.result || cut.error != whole.error || cut.raw != whole.raw ||
		    cut.payload != whole.payload || cut.sum != whole.sum)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const methods[] = {"GET", "HEAD", "CONNECT", "POST"};
	const char *text = (const char *)data + 1;
	struct mesh_http1_body b;
	static bool reports;
	struct parsed p;

	if (!reports)
		atexit(report);
	reports = true;
	if (size < 2)
		return 0;
	one_head(&p, data[0], text, size - 1);
	if (p.result == MESH_HTTP1_ERROR &&
	    (mesh_http1_error_status(p.head.error) < 400 || !mesh_http1_error_text(p.head.error)[0]))
		abort();
	if (p.result != MESH_HTTP1_DONE)
		return 0;
	if (data[0] & 1)
		mesh_http1_body_response(&b, &p.head, mesh_slice_str(methods[data[0] >> 2 & 3]));
	else
		mesh_http1_body_request(&b, &p.head);
	mesh_http1_reason(p.head.status);
	if (size - 1 > p.head.size)
		one_body(&b, text + p.head.size, size - 1 - p.head.size);
	return 0;
}
